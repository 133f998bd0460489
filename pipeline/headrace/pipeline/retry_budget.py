"""How large a share of a job type's attempts may be retries."""

from dataclasses import dataclass
from datetime import timedelta

from headrace.pipeline.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """A bound on retries, so that a storm of failures turns into waiting, not into load.

    Counted by each worker for each of its lanes, from the attempts that ended there lately. A
    retry above the budget comes when there is room for it: it waits longer, but it uses up no
    attempt more and is never dropped, by `max_age` neither.

    Attributes:
        ratio: Of the attempts of the last `per`, the share that may be retries: 0.2 is a fifth.
        per: The time in which they are counted.
        minimum: Retries in `per` that are always within the budget, so that a job type that runs
            seldom is retried as its policy says.

    Raises:
        DeclarationError: A value is out of range.
    """

    ratio: float = 0.2
    per: timedelta = timedelta(minutes=1)
    minimum: int = 10

    def __post_init__(self) -> None:
        checks = (
            (0 < self.ratio <= 1, "ratio", self.ratio, "above 0 and at most 1"),
            (
                timedelta(seconds=1) <= self.per <= timedelta(days=1),
                "per",
                self.per,
                "between a second and a day",
            ),
            (self.minimum >= 1, "minimum", self.minimum, "at least 1, or nothing is ever retried"),
        )
        for holds, name, value, wanted in checks:
            if not holds:
                raise DeclarationError(f"RetryBudget({name}={value!r}): must be {wanted}")
