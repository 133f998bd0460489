"""Figures of dead letters: how many of what kind, since when, and one to look at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from headrace.processors.dead_letter import DeadLetter
from headrace.processors.job_view import both_times

_KINDS: Final[dict[str, Callable[[DeadLetter], str]]] = {
    "queue": lambda letter: letter.queue,
    "reason": lambda letter: letter.reason,
    "error": lambda letter: letter.error_type,
    "job_type": lambda letter: letter.job_type,
    "fingerprint": lambda letter: letter.fingerprint.title,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """Dead letters that have something in common. Times in epoch milliseconds.

    Attributes:
        value: What they have in common, such as the name of their queue.
        count: How many.
        first: When the first of them died.
        last: When the last of them died.
        sample: The job id of the last.
    """

    value: str
    count: int
    first: int
    last: int
    sample: str

    def with_one(self, letter: DeadLetter) -> "Tally":
        """Count one more."""
        newest = letter.died >= self.last
        return replace(
            self,
            count=self.count + 1,
            first=min(self.first, letter.died),
            last=max(self.last, letter.died),
            sample=letter.job_id if newest else self.sample,
        )

    def as_json(self) -> dict[str, object]:
        """Keys: `value`, `count`, `first_ms`, `first`, `last_ms`, `last`, `sample_job_id`."""
        return {
            "value": self.value,
            "count": self.count,
            **both_times("first", self.first),
            **both_times("last", self.last),
            "sample_job_id": self.sample,
        }


@dataclass(frozen=True, slots=True)
class DeadLetterStats:
    """All tallies, by kind: `queue`, `reason`, `error`, `job_type`, `fingerprint`.

    Within a kind the largest comes first.
    """

    total: int
    tallies: dict[str, tuple[Tally, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Keys: `total`, and for each kind `by_<kind>`: a list of `Tally.as_json`."""
        by_kind = {
            f"by_{kind}": [tally.as_json() for tally in tallies]
            for kind, tallies in self.tallies.items()
        }
        return {"total": self.total, **by_kind}


def count(letters: Iterable[DeadLetter]) -> DeadLetterStats:
    """Count dead letters. Holds a tally for each distinct value, never the letters."""
    total = 0
    counted: dict[str, dict[str, Tally]] = {kind: {} for kind in _KINDS}
    for letter in letters:
        total += 1
        for kind, value_of in _KINDS.items():
            _add(counted[kind], value_of(letter), letter)
    return DeadLetterStats(total, {kind: _largest(found) for kind, found in counted.items()})


def _add(tallies: dict[str, Tally], value: str, letter: DeadLetter) -> None:
    known = tallies.get(value)
    if known is None:
        tallies[value] = Tally(value, 1, letter.died, letter.died, letter.job_id)
    else:
        tallies[value] = known.with_one(letter)


def _largest(tallies: dict[str, Tally]) -> tuple[Tally, ...]:
    return tuple(sorted(tallies.values(), key=lambda tally: (-tally.count, tally.value)))
