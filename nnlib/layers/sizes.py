"""What the constructors of layers check about sizes and probabilities."""


def check_sizes(**sizes: int) -> None:
    """Raise a ValueError that names the first size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}={size}: it must be at least 1")


def check_dropping(p: float) -> None:
    """Raise a ValueError unless p is a probability of dropping that leaves something."""
    if not 0 <= p < 1:
        raise ValueError(f"p={p}: the probability of dropping must be at least 0 and below 1")
