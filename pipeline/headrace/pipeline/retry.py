"""Retry policies: how often a failing job is tried, and how long it waits in between."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from headrace.pipeline.errors import DeclarationError

MAX_DELAY = timedelta(days=36_525)
"""No wait is longer: a hundred years, beyond which a number is a mistake."""


def qualified_names(error: BaseException) -> tuple[str, ...]:
    """Name an exception's classes, the most derived first.

    Policies match by name, because a child process that ran the job reports names, not classes.
    """
    return tuple(_qualified(error_class) for error_class in type(error).__mro__)


def _qualified(error_class: type) -> str:
    return f"{error_class.__module__}.{error_class.__qualname__}"


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential back-off: attempt n waits `base * factor**(n-1)`, at most `cap`, with jitter.

    Attributes:
        max_attempts: Counted attempts, the first included; 1 never retries.
        base: The wait after the first failure.
        factor: What each further wait is multiplied by.
        cap: The longest wait, before jitter.
        jitter: The share by which a wait is lengthened or shortened at random: 0.3 is ± 30 %.
        only: When given, only these exceptions (and their subclasses) are retried.
        never: These exceptions (and their subclasses) are not retried: dead at once.
        per_exception: Another policy for some exceptions; the most derived class decides.

    Raises:
        DeclarationError: A value is out of range.
    """

    max_attempts: int = 3
    base: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    cap: timedelta = timedelta(seconds=60)
    jitter: float = 0.3
    only: tuple[type[BaseException], ...] = ()
    never: tuple[type[BaseException], ...] = ()
    per_exception: Mapping[type[BaseException], "Retry"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = (
            (self.max_attempts >= 1, "max_attempts", self.max_attempts, "at least 1"),
            (self.base >= timedelta(), "base", self.base, "zero or more"),
            (self.factor >= 1, "factor", self.factor, "at least 1"),
            (
                timedelta() <= self.cap <= MAX_DELAY,
                "cap",
                self.cap,
                "between 0 and a hundred years",
            ),
            (0 <= self.jitter <= 1, "jitter", self.jitter, "between 0 and 1"),
        )
        for holds, name, value, wanted in checks:
            if not holds:
                raise DeclarationError(f"Retry({name}={value!r}): must be {wanted}")

    def wait(self, attempt: int, chance: random.Random) -> timedelta:
        """Give the wait after the failure of `attempt` (1 is the first)."""
        try:
            grown = self.base * self.factor ** (attempt - 1)
        except OverflowError:
            grown = self.cap
        wait = min(grown, self.cap)
        return wait * (1 + self.jitter * chance.uniform(-1, 1)) if self.jitter else wait

    def policy_for(self, error_classes: tuple[str, ...]) -> "Retry":
        """Give the policy for an exception, named by `qualified_names`.

        The most derived class that `per_exception` or `never` names decides.
        """
        by_name = {_qualified(kind): policy for kind, policy in self.per_exception.items()}
        by_name |= dict.fromkeys(map(_qualified, self.never), self)
        return next((by_name[name] for name in error_classes if name in by_name), self)

    def retries(self, error_classes: tuple[str, ...]) -> bool:
        """Tell whether an exception with these classes is worth another attempt."""
        if any(_qualified(kind) in error_classes for kind in self.never):
            return False
        return not self.only or any(_qualified(kind) in error_classes for kind in self.only)
