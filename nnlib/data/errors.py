"""DataError: what every reader raises for input that cannot be used."""


class DataError(ValueError):
    """Unusable input; one sentence says what is wrong, where (file, line, field), what to do."""
