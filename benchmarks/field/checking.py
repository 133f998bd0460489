"""What was lost, and what ran twice: read from the log that handlers append to."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.field.work import RECORD


@dataclass(frozen=True)
class Execution:
    """One line of the log: which job, and when its handler began (epoch ns)."""

    number: int
    began: int


@dataclass(frozen=True)
class Verdict:
    """What a run's log says.

    Attributes:
        lost: Jobs that ran less often than they should have.
        doubled: Executions beyond those that should have been.
        foreign: Executions of jobs that were never submitted.
    """

    lost: int
    doubled: int
    foreign: int = 0

    def figures(self) -> dict[str, float]:
        """Give it as figures."""
        return {"lost": self.lost, "doubled": self.doubled, "foreign": self.foreign}


def count(log: Path) -> int:
    """How many executions there are: the log's size tells."""
    try:
        return log.stat().st_size // RECORD.size
    except FileNotFoundError:
        return 0


def read(log: Path) -> list[Execution]:
    """Give all executions, in the order in which they were noted."""
    content = log.read_bytes() if log.exists() else b""
    whole = len(content) - len(content) % RECORD.size
    return [Execution(*found) for found in RECORD.iter_unpack(content[:whole])]


def check(
    executions: Iterable[Execution],
    submitted: Iterable[int],
    wanted: Callable[[int], int] = lambda number: 1,
) -> Verdict:
    """Compare the log with what was submitted.

    Args:
        executions: Those of the log.
        submitted: The numbers of the jobs.
        wanted: How often a job must have run.
    """
    ran = Counter(execution.number for execution in executions)
    lost = doubled = 0
    for number in submitted:
        times, due = ran.pop(number, 0), wanted(number)
        lost += times < due
        doubled += max(0, times - due)
    return Verdict(lost, doubled, sum(ran.values()))
