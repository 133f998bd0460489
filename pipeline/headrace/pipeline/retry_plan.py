"""What a retry policy leads to: each wait, and how long a job that always fails is tried."""

from dataclasses import dataclass
from datetime import timedelta

from headrace.pipeline.retry import Retry


@dataclass(frozen=True, slots=True)
class RetryStep:
    """One further attempt. Times without those that the attempts themselves take.

    Attributes:
        attempt: Its number, from 2 on.
        least: The shortest wait before it.
        most: The longest wait before it.
        earliest: When it starts at the earliest, from the start of the first attempt.
        latest: When it starts at the latest, from there.
    """

    attempt: int
    least: timedelta
    most: timedelta
    earliest: timedelta
    latest: timedelta


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """The attempts of a job that always fails in the same way.

    Attributes:
        policy: What it is tried by.
        max_age: How old a job may be that is retried; None without a bound.
        steps: The further attempts that may come; without those that are surely too late.
    """

    policy: Retry
    max_age: timedelta | None
    steps: tuple[RetryStep, ...]

    @property
    def too_late(self) -> int | None:
        """The first attempt that surely comes not, for the job is too old then; None: all may."""
        made = len(self.steps) + 1
        return made + 1 if made < self.policy.max_attempts else None

    @property
    def doubtful(self) -> int | None:
        """The first attempt that comes only if jitter or handlers leave time; None: no such."""
        late = (step.attempt for step in self.steps if self.max_age and step.latest > self.max_age)
        return next(late, None)

    @property
    def dead_after(self) -> tuple[timedelta, timedelta]:
        """When the last attempt that may come starts, at the earliest and at the latest."""
        if not self.steps:
            return timedelta(), timedelta()
        last = self.steps[-1]
        return last.earliest, min(last.latest, self.max_age or last.latest)


def plan_of(policy: Retry, max_age: timedelta | None = None) -> RetryPlan:
    """Work out a policy's waits.

    Args:
        policy: The policy, or that of one exception.
        max_age: Of the outer policy, for one exception's that names none.
    """
    bound = policy.max_age or max_age
    steps: list[RetryStep] = []
    earliest = latest = timedelta()
    for attempt in range(2, policy.max_attempts + 1):
        wait = policy.middle(attempt - 1)
        least, most = wait * (1 - policy.jitter), wait * (1 + policy.jitter)
        earliest, latest = earliest + least, latest + most
        if bound is not None and earliest > bound:
            break
        steps.append(RetryStep(attempt, least, most, earliest, latest))
    return RetryPlan(policy, bound, tuple(steps))
