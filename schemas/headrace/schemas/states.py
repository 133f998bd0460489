"""The closed lists of job states and of reasons to be dead."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life. The order of definition is the rank used when merging."""

    DUPLICATE = "duplicate"
    """Another record of the same job was live or recent: this one was not run. Final for the
    record; the job's own state is told by the other one, so this has the lowest rank."""
    DELAYED = "delayed"
    """Waits in a delay tier for its first attempt."""
    QUEUED = "queued"
    """Lies on its lane, due, not started."""
    RUNNING = "running"
    """An attempt has been started."""
    RETRYING = "retrying"
    """An attempt failed, or asked to wait; the job lies in a delay tier and will come back."""
    SUCCEEDED = "succeeded"
    """The handler returned. Final."""
    DEAD = "dead"
    """Will not be tried again by itself; lies in the dead-letter topic. Final until replayed."""
    CANCELLED = "cancelled"
    """Cancelled before or while running. Final."""
    EXPIRED = "expired"
    """Its expiry passed before it was started. Final."""

    @property
    def is_final(self) -> bool:
        """Whether nothing follows by itself."""
        return self in _FINAL

    @property
    def rank(self) -> int:
        """Position in the life of a job; breaks ties between transitions of one step."""
        return _RANKS[self]


_FINAL = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.DEAD,
        JobState.CANCELLED,
        JobState.EXPIRED,
        JobState.DUPLICATE,
    }
)
_RANKS = {state: rank for rank, state in enumerate(JobState)}


class DeadReason(StrEnum):
    """Why a job is dead."""

    EXHAUSTED = "exhausted"
    """The last attempt that its retry policy allows has failed."""
    REJECTED = "rejected"
    """The handler said never again (`Reject`), or the lane takes no record of this size."""
    UNDECODABLE = "undecodable"
    """The record's bytes are not a job."""
    UNKNOWN_TYPE = "unknown-type"
    """No worker knew its type or its schema within the grace period."""
    CRASH_LOOP = "crash-loop"
    """Each attempt ended with the death of its process."""
    TIMEOUT = "timeout"
    """The last attempt that its retry policy allows ran out of time."""
    TOO_OLD = "too-old"
    """It failed, and its next attempt would have come later than its policy's `max_age` allows."""
