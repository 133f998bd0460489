"""The jobs that are submitted: the same for every system. Standard library alone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

_SIZE = 170
"""Characters of a job's note: with the other arguments and their framing about 200 bytes."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Call:
    """One job.

    Attributes:
        kind: What its handler does: noop, nap, spin2, spin20, flaky.
        number: Its id: counted from 0 within a run.
        note: Ballast.
        key: Jobs of one key keep their order, where that is wanted.
        priority: high or low, where that is wanted.
    """

    kind: str
    number: int
    note: str
    key: str | None = None
    priority: str | None = None


def notes(count: int = 64) -> list[str]:
    """Make ballast that compresses as text does, not as one repeated letter."""
    chosen = random.Random(7)
    words = ["".join(chosen.choices(_LETTERS, k=chosen.randint(3, 9))) for _ in range(400)]
    return [" ".join(chosen.choices(words, k=40))[:_SIZE] for _ in range(count)]


def calls(
    kind: str, first: int, count: int, *, keys: int = 0, priority: str | None = None
) -> Iterator[Call]:
    """Give the jobs of a run, in their order."""
    ballast = notes()
    for number in range(first, first + count):
        key = f"customer-{number % keys}" if keys else None
        yield Call(kind, number, ballast[number % len(ballast)], key, priority)
