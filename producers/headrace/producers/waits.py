"""What is waited for: the ends of single jobs, put together from whatever transitions tell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from headrace.schemas.errors import HeadraceError
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

_STATES: Final = frozenset(JobState)
_FAILED: Final = frozenset({JobState.DEAD, JobState.CANCELLED, JobState.EXPIRED})


@dataclass(slots=True, eq=False)
class Wait:
    """One caller who waits for one job. Changed by the follower's thread alone, read when done.

    Attributes:
        job_id: The job's id.
        since: When it was submitted, in epoch milliseconds.
        wake: Called once, when there is nothing more to wait for; must not block.
        endless: Whether the caller would wait for ever.
        last: The latest that is known of the job.
        doubled: Whether this submission was found to be one of a job that was submitted before.
        problem: Why nothing can be known; None while that is not so.
    """

    job_id: str
    since: int
    wake: Callable[[], object]
    endless: bool
    last: Transition | None = None
    doubled: bool = False
    problem: HeadraceError | None = None
    done: bool = False

    @property
    def mark(self) -> bytes:
        """The id as it lies in a batch."""
        return self.job_id.encode()

    def merge(self, found: Transition) -> None:
        """Take one transition of the job, in any order, once or again."""
        if found.state not in _STATES:
            return  # of a newer version: it says nothing here
        if found.state == JobState.DUPLICATE:
            self.doubled = True  # the end of a record that was not run, not of the job
        elif self.last is None or found.order > self.last.order:
            self.last = found

    def conclude(self, *, caught_up: bool) -> bool:
        """Tell whether there is nothing more to wait for, and wake the caller if so.

        A failure counts when everything up to now was read: a later replay may have put it right.
        """
        state = None if self.last is None else self.last.state
        over = state == JobState.SUCCEEDED or (caught_up and state in _FAILED)
        if over or (caught_up and self.doubled and self.endless):
            self.finish()
        return self.done

    def finish(self, problem: HeadraceError | None = None) -> None:
        """Wake the caller."""
        if not self.done:
            self.problem = problem
            self.done = True
            self.wake()
