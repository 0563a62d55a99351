"""Learning-rate schedules: functions  step → η,  and one that watches a metric.

    schedule = linear(0.05, floor=0.0001, steps=10_000)
    ...
    optimizer.lr = schedule(optimizer.t)       # t: steps taken, 0 before the first
    optimizer.step()

Counted in steps or in epochs alike: what the caller passes decides.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

Schedule: TypeAlias = Callable[[int], float]


def step_decay(lr: float, factor: float, every: int) -> Schedule:
    """η_t = η · factor^⌊t / every⌋.

    Arguments
        lr: η > 0
        factor: in (0, 1]
        every: steps between two reductions, ≥ 1
    Raises
        ValueError: an argument is outside its range.
    """
    _check_rate(lr)
    _check_factor("factor", factor)
    _check_at_least_one("every", every)
    return lambda t: lr * factor ** (t // every)


def exponential(lr: float, factor: float) -> Schedule:
    """η_t = η · factorᵗ.

    Arguments
        lr: η > 0
        factor: in (0, 1]; 0.5^(1/n) halves η every n steps
    Raises
        ValueError: an argument is outside its range.
    """
    _check_rate(lr)
    _check_factor("factor", factor)
    return lambda t: lr * factor**t


def inverse_time(lr: float, decay: float) -> Schedule:
    """η_t = η / (1 + decay · t): falls slowly enough for SGD to converge.

    Arguments
        lr: η > 0
        decay: ≥ 0; after 1 / decay steps η is halved
    Raises
        ValueError: an argument is outside its range.
    Source
        Robbins & Monro 1951: Σ η_t = ∞ and Σ η_t² < ∞.
    """
    _check_rate(lr)
    if not 0 <= decay < math.inf:
        raise ValueError(f"decay={decay!r}: it must be finite and not negative")
    return lambda t: lr / (1 + decay * t)


def linear(lr: float, floor: float, steps: int) -> Schedule:
    """η_t falls along a line from η at t = 0 to the floor at t = steps, and stays there.

    Arguments
        lr: η > 0
        floor: in [0, η]
        steps: ≥ 1
    Raises
        ValueError: an argument is outside its range.
    Source
        word2vec (Mikolov et al. 2013) falls from 0.025 to 0.0001 over all training words.
    """
    _check_rate(lr)
    _check_floor(floor, lr)
    _check_at_least_one("steps", steps)
    return lambda t: lr + (floor - lr) * min(t / steps, 1.0)


def warmup_cosine(lr: float, warmup: int, steps: int, floor: float = 0.0) -> Schedule:
    """η_t rises along a line to η, then falls along half a cosine to the floor.

        η_t = η (t + 1) / warmup                                              t < warmup
        η_t = floor + (η − floor) ½ (1 + cos(π (t − warmup) / (steps − warmup)))    then
    From t = steps on it is the floor.

    Arguments
        lr: η > 0
        warmup: steps of the rise, 0 … steps − 1
        steps: of both parts, ≥ 1
        floor: in [0, η]
    Raises
        ValueError: an argument is outside its range.
    Source
        Loshchilov & Hutter 2017, eq. 5, without restarts; Goyal et al. 2017 for the rise.
    """
    _check_rate(lr)
    _check_floor(floor, lr)
    _check_at_least_one("steps", steps)
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup={warmup!r}: it must lie between 0 and steps - 1 = {steps - 1}")

    def schedule(t: int) -> float:
        if t < warmup:
            return lr * (t + 1) / warmup
        done = min((t - warmup) / (steps - warmup), 1.0)
        return floor + (lr - floor) * 0.5 * (1 + math.cos(math.pi * done))

    return schedule


@dataclass(kw_only=True)
class ReduceOnPlateau:
    """Reduce η when a metric stops improving:  `optimizer.lr = plateau(validation_loss)`.

    An evaluation improves if the metric beats the best one by more than `threshold` · |best|.
    After `patience` evaluations in a row that do not, η is multiplied by `factor`, and for the
    next `cooldown` evaluations none is counted.

    Arguments
        lr: the first η, > 0; afterwards the present one
        factor: in (0, 1]
        patience: ≥ 1
        threshold: relative, ≥ 0
        cooldown: ≥ 0
        floor: the smallest η, in [0, lr]
        maximize: True for a metric such as recall, False for a loss
    Raises
        ValueError: an argument is outside its range.
    """

    lr: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    floor: float = 0.0
    maximize: bool = False
    best: float = field(default=math.nan, init=False)  # NaN: nothing seen
    waited: int = field(default=0, init=False)
    resting: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        _check_rate(self.lr)
        _check_factor("factor", self.factor)
        _check_at_least_one("patience", self.patience)
        _check_floor(self.floor, self.lr)
        for name in ("threshold", "cooldown"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name}={value!r}: it must be finite and not negative")

    def __call__(self, metric: float) -> float:
        """η after an evaluation that gave `metric`; NaN counts as no improvement."""
        if self._improves(metric):
            self.best, self.waited = metric, 0
        elif self.resting == 0:
            self.waited += 1
        self.resting = max(0, self.resting - 1)
        if self.waited >= self.patience:
            self.lr = max(self.lr * self.factor, self.floor)
            self.waited, self.resting = 0, self.cooldown
        return self.lr

    def _improves(self, metric: float) -> bool:
        if math.isnan(self.best):
            return not math.isnan(metric)
        gain = metric - self.best if self.maximize else self.best - metric
        return gain > self.threshold * abs(self.best)


def _check_rate(lr: float) -> None:
    if not 0 < lr < math.inf:
        raise ValueError(f"lr={lr!r}: the learning rate must be positive and finite")


def _check_factor(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name}={value!r}: it must lie in (0, 1]")


def _check_floor(floor: float, lr: float) -> None:
    if not 0 <= floor <= lr:
        raise ValueError(f"floor={floor!r}: it must lie between 0 and lr={lr!r}")


def _check_at_least_one(name: str, value: int) -> None:
    if not value >= 1:
        raise ValueError(f"{name}={value!r}: it must be at least 1")
