"""Retry policies: how often a failing job is tried, and how long it waits in between."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.retry_budget import RetryBudget

MAX_DELAY = timedelta(days=36_525)
"""No wait is longer: a hundred years, beyond which a number is a mistake."""

AskedWait = Callable[[BaseException], timedelta | None]
"""Tells how long an exception asks to be left alone; None when it does not say."""


def qualified_names(error: BaseException) -> tuple[str, ...]:
    """Name an exception's classes, the most derived first.

    Policies match by name, because a child process that ran the job reports names, not classes.
    """
    return tuple(_qualified(error_class) for error_class in type(error).__mro__)


def _qualified(error_class: type) -> str:
    return f"{error_class.__module__}.{error_class.__qualname__}"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failing job is tried, and how long it waits before each further attempt.

    `Retry()` backs off exponentially: after attempt n it waits `base * factor**(n-1)`, at most
    `cap`, with jitter. `Retry.fixed` always waits the same, `Retry.delays` waits as listed.

    Attributes:
        max_attempts: Counted attempts, the first included; 1 never retries.
        base: The wait after the first failure.
        factor: What each further wait is multiplied by.
        cap: The longest wait, before jitter.
        jitter: The share by which a wait is lengthened or shortened at random: 0.3 is ± 30 %.
        only: When given, only these exceptions (and their subclasses) are retried.
        never: These exceptions (and their subclasses) are not retried: dead at once.
        per_exception: Another policy for some exceptions; the most derived class decides. Where it
            names no `max_age` or `retry_after`, that of the outer policy holds.
        waits: When given, the waits one by one instead of base, factor and cap; the last one holds
            for all further attempts.
        max_age: A retry that would come later than this after the job's creation is not made: the
            job is dead (`too-old`). Waits are not shortened, and a job's first attempt is made
            however old it is.
        retry_after: Asked for the wait of each exception that is retried, such as
            `headrace.pipeline.http_retry_after`; its answer holds instead of the back-off. Called
            where the handler ran, in a child process too. One that raises, or answers anything
            but a timedelta of zero or more, has said nothing.
        budget: The share of attempts that may be retries; what is above it waits longer.

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
    waits: tuple[timedelta, ...] = ()
    max_age: timedelta | None = None
    retry_after: AskedWait | None = None
    budget: RetryBudget | None = None

    @classmethod
    def fixed(
        cls, wait: timedelta, max_attempts: int = 3, *, jitter: float = 0.0, **more: Any
    ) -> "Retry":
        """Make a policy that always waits the same: exactly that, unless jitter is given.

        Args:
            wait: Before each further attempt.
            max_attempts: Counted attempts, the first included.
            jitter: As the attribute.
            more: Any other attribute.

        Raises:
            DeclarationError: A value is out of range.
        """
        return cls(max_attempts, jitter=jitter, waits=(wait,), **more)

    @classmethod
    def delays(
        cls,
        *waits: timedelta,
        max_attempts: int | None = None,
        jitter: float = 0.0,
        **more: Any,
    ) -> "Retry":
        """Make a policy that waits as listed: exactly that, unless jitter is given.

        Args:
            waits: Before attempt 2, before attempt 3 …
            max_attempts: Counted attempts, the first included: one more than there are waits when
                not given. With more attempts than that the last wait is repeated.
            jitter: As the attribute.
            more: Any other attribute.

        Raises:
            DeclarationError: No wait is given, or a value is out of range.
        """
        if not waits:
            raise DeclarationError(
                "Retry.delays() names no wait: give one or more, such as "
                "Retry.delays(timedelta(seconds=5), timedelta(minutes=1))"
            )
        attempts = len(waits) + 1 if max_attempts is None else max_attempts
        return cls(attempts, jitter=jitter, waits=waits, **more)

    def __post_init__(self) -> None:
        zero, century = timedelta(), "between 0 and a hundred years"
        age = self.max_age
        checks: tuple[tuple[bool, str, object, str], ...] = (
            (self.max_attempts >= 1, "max_attempts", self.max_attempts, "at least 1"),
            (self.base >= zero, "base", self.base, "zero or more"),
            (self.factor >= 1, "factor", self.factor, "at least 1"),
            (zero <= self.cap <= MAX_DELAY, "cap", self.cap, century),
            (0 <= self.jitter <= 1, "jitter", self.jitter, "between 0 and 1"),
            *((zero <= wait <= MAX_DELAY, "waits", wait, century) for wait in self.waits),
            (age is None or age > zero, "max_age", age, "more than zero, or left out"),
        )
        for holds, name, value, wanted in checks:
            if not holds:
                raise DeclarationError(f"Retry({name}={value!r}): must be {wanted}")
        for kind, policy in self.per_exception.items():
            if policy.budget is not None:
                raise DeclarationError(
                    f"Retry(per_exception={{{kind.__qualname__}: …}}): a budget counts all retries "
                    "of a job type, so give it to the outer Retry"
                )

    def wait(self, attempt: int, chance: random.Random) -> timedelta:
        """Give the wait after the failure of `attempt` (1 is the first)."""
        wait = self.middle(attempt)
        return wait * (1 + self.jitter * chance.uniform(-1, 1)) if self.jitter else wait

    def middle(self, attempt: int) -> timedelta:
        """Give the wait after the failure of `attempt` without its jitter."""
        if self.waits:
            return self.waits[min(attempt, len(self.waits)) - 1]
        try:
            return min(self.base * self.factor ** (attempt - 1), self.cap)
        except OverflowError:
            return self.cap

    def policy_for(self, error_classes: tuple[str, ...]) -> "Retry":
        """Give the policy for an exception, named by `qualified_names`.

        The most derived class that `per_exception` or `never` names decides.
        """
        if not self.per_exception:
            return self
        by_name = {_qualified(kind): policy for kind, policy in self.per_exception.items()}
        by_name |= dict.fromkeys(map(_qualified, self.never), self)
        return next((by_name[name] for name in error_classes if name in by_name), self)

    def retries(self, error_classes: tuple[str, ...]) -> bool:
        """Tell whether an exception with these classes is worth another attempt."""
        if any(_qualified(kind) in error_classes for kind in self.never):
            return False
        return not self.only or any(_qualified(kind) in error_classes for kind in self.only)

    def asked_wait(self, error: BaseException) -> timedelta | None:
        """Ask `retry_after` how long an exception wants to be left alone. Never raises."""
        ask = self.policy_for(qualified_names(error)).retry_after or self.retry_after
        if ask is None:
            return None
        try:
            wait: object = ask(error)
        except Exception:  # a policy must not turn one failure into another
            return None
        if not isinstance(wait, timedelta) or wait < timedelta():
            return None
        return min(wait, MAX_DELAY)
