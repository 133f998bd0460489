"""What can become of one attempt (outcomes), and of a job after it (decisions). Closed sets."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from headrace.consumers.stack_text import traceback_of
from headrace.pipeline.context import Progress
from headrace.pipeline.retry import qualified_names
from headrace.schemas.headers import MAX_MESSAGE, MAX_TRACEBACK
from headrace.schemas.states import DeadReason, JobState


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An exception in words, so that it can cross processes whatever its class was.

    Attributes:
        classes: Qualified names of its classes, the most derived first.
        type: The name people know it by.
        message: Its text, cut to a bound.
        traceback: Where it was raised, cut to a bound from the front.
    """

    classes: tuple[str, ...]
    type: str
    message: str
    traceback: str = ""


def error_info(error: BaseException) -> ErrorInfo:
    """Put an exception into words."""
    trace = traceback_of(error)[-MAX_TRACEBACK:]
    text = _encodable(_text(error)[:MAX_MESSAGE])
    return ErrorInfo(qualified_names(error), type(error).__name__, text, _encodable(trace))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as failure:
        return f"<its text raised {type(failure).__name__}>"


def _encodable(text: str) -> str:
    """Replace lone surrogates, as file names of another encoding have: UTF-8 cannot hold them."""
    return text.encode(errors="replace").decode()


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; `result` is its return value as framed Avro, if it declares one.

    Of one that is too large, `claim` says where it is stored.
    """

    result: bytes | None = None
    claim: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as plain values: it is the answer to nearly every job."""
        return Succeeded, (self.result, self.claim)


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, or returned what its annotation does not allow.

    Attributes:
        error: What it raised.
        asked: How long the exception asks to be left alone, if the job's policy can read that.
    """

    error: ErrorInfo
    asked: timedelta | None = None


@dataclass(frozen=True, slots=True)
class RetryAsked:
    """The handler raised `RetryLater`: failed, with the wait that it asked for."""

    delay: timedelta
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Rejected:
    """The handler raised `Reject`: never again."""

    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler raised `Snooze`: not now, and not counted."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The attempt was over its time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Died:
    """The process that ran the attempt died.

    Attributes:
        how: `SIGKILL`, `exit code 7`.
        with_worker: Whether the worker itself died, with this job alone in it; then there is
            nobody who saw how.
    """

    how: str
    with_worker: bool = False


@dataclass(frozen=True, slots=True)
class Undecodable:
    """The arguments are not Avro of the schema they name, or do not fit the handler."""

    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class UnknownToWorker:
    """This worker knows the job's type or schema not yet: a deploy may be in progress."""

    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Something that is needed to read the job does not answer now; it waits in place."""

    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker stopped before the attempt ended: given back, not counted."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody ordered that the job be stopped, and the attempt came to no good end after that.

    Attributes:
        why: What the order says; empty while only the executor knows of it.
    """

    why: str = ""


Outcome = (
    Succeeded
    | Failed
    | RetryAsked
    | Rejected
    | Snoozed
    | TimedOut
    | Died
    | Undecodable
    | UnknownToWorker
    | Unavailable
    | Interrupted
    | Cancelled
)


@dataclass(slots=True)
class Attempted:
    """An outcome with its times, in epoch milliseconds. Not frozen for the reason of `JobRecord`."""

    outcome: Outcome
    started: int
    ended: int
    progress: Progress | None = None
    """The last that the job told of itself, if it ran in a child process."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as plain values."""
        return Attempted, (self.outcome, self.started, self.ended, self.progress)


@dataclass(frozen=True, slots=True)
class Finish:
    """The job is over here: nothing is handed over."""

    state: JobState
    result: bytes | None = None
    why: str | None = None
    claim: str | None = None


@dataclass(frozen=True, slots=True)
class ComeBack:
    """The job goes to a delay tier and returns when it is due.

    Attributes:
        due: Epoch milliseconds.
        counted: Whether this was an attempt, so that the next one has the next number.
        error: Why, if something failed.
    """

    due: int
    counted: bool
    error: ErrorInfo | None = None
    state: JobState = JobState.RETRYING


@dataclass(frozen=True, slots=True)
class Bury:
    """The job goes to the dead-letter topic."""

    reason: DeadReason
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class HoldHere:
    """The record waits in this worker and is tried again."""

    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Nothing is recorded: the record is read again by whoever owns the partition next."""


Decision = Finish | ComeBack | Bury | HoldHere | GiveBack
