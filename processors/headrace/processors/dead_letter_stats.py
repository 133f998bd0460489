"""Figures of dead letters: how many of what kind, since when, in which hours, and one to look at."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.processors.dead_letter import DeadLetter
from headrace.processors.times import both_times

HOUR: Final = 3_600_000
"""Milliseconds."""
_KINDS: Final[dict[str, Callable[[DeadLetter], tuple[str, str]]]] = {
    "queue": lambda letter: (letter.queue, ""),
    "reason": lambda letter: (letter.reason, ""),
    "error": lambda letter: (letter.error_type, ""),
    "job_type": lambda letter: (letter.job_type, ""),
    "fingerprint": lambda letter: _error_of(letter),
}


@dataclass(frozen=True, slots=True)
class Tally:
    """Dead letters that have something in common. Times in epoch milliseconds.

    Attributes:
        value: What they have in common, such as the name of their queue.
        title: Of a fingerprint: the error in a line, and where it was raised. Else empty.
        count: How many.
        first: When the first of them died.
        last: When the last of them died.
        sample: The job id of the last.
        per_hour: How many died in the hour that began then; hours without any are left out.
    """

    value: str
    title: str
    count: int
    first: int
    last: int
    sample: str
    per_hour: Mapping[int, int]

    def as_json(self) -> dict[str, object]:
        """Keys: `value`, `title` (of a fingerprint), `count`, `first_ms`, `first`, `last_ms`,
        `last`, `sample_job_id`, `per_hour` (a list of `hour_ms`, `hour`, `count`)."""  # noqa: D205, D209
        return {
            "value": self.value,
            **({"title": self.title} if self.title else {}),
            "count": self.count,
            **both_times("first", self.first),
            **both_times("last", self.last),
            "sample_job_id": self.sample,
            "per_hour": [
                {**both_times("hour", hour), "count": count}
                for hour, count in sorted(self.per_hour.items())
            ],
        }


@dataclass(frozen=True, slots=True)
class DeadLetterStats:
    """All tallies, by kind: `queue`, `reason`, `error`, `job_type`, `fingerprint`.

    Within a kind the largest comes first.
    """

    total: int
    tallies: Mapping[str, tuple[Tally, ...]]

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
    counted: dict[str, dict[str, _Counting]] = {kind: {} for kind in _KINDS}
    for letter in letters:
        total += 1
        for kind, value_of in _KINDS.items():
            value, title = value_of(letter)
            known = counted[kind].get(value)
            if known is None:
                known = counted[kind][value] = _Counting(title, letter.died)
            known.add(letter)
    return DeadLetterStats(total, {kind: _largest(found) for kind, found in counted.items()})


@dataclass(slots=True)
class _Counting:
    title: str
    first: int
    last: int = -1
    sample: str = ""
    per_hour: Counter[int] = field(default_factory=Counter)

    def add(self, letter: DeadLetter) -> None:
        died = letter.died
        self.per_hour[died - died % HOUR] += 1
        self.first = min(self.first, died)
        if died >= self.last:
            self.last, self.sample = died, letter.job_id


def _error_of(letter: DeadLetter) -> tuple[str, str]:
    found = letter.fingerprint
    where = f" in {found.frames[-1]}" if found.frames else ""
    return found.id, f"{found.title}{where}"


def _largest(counted: Mapping[str, _Counting]) -> tuple[Tally, ...]:
    tallies = (
        Tally(value, of.title, of.per_hour.total(), of.first, of.last, of.sample, dict(of.per_hour))
        for value, of in counted.items()
    )
    return tuple(sorted(tallies, key=lambda tally: (-tally.count, tally.value)))
