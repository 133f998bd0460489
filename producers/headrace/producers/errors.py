"""Errors of publishing, and of waiting for what a job returns.

HeadraceError
├── SubmitError               nothing was sent: an option is wrong, the local queue stays full …
│   ├── PayloadTooLargeError  the record would not fit the lane
│   └── DeliveryError         sent, but no broker acknowledged it
├── JobFailedError            the job has ended without a result: dead, cancelled or expired
├── ResultTimeoutError        it has not ended in time; also a TimeoutError
└── ResultUnavailableError    its result cannot be had from here: untold, lost, or not readable
"""

from headrace.schemas.errors import HeadraceError
from headrace.schemas.transitions import Transition


class SubmitError(HeadraceError):
    """A job could not be submitted; the message says why and what to do."""


class PayloadTooLargeError(SubmitError):
    """The record would not fit the lane. Nothing was sent."""


class DeliveryError(SubmitError):
    """No broker acknowledged the job: whether it was stored is unknown for a time-out.

    Attributes:
        job_ids: The jobs concerned (the first hundred of them).
        count: How many jobs.
    """

    def __init__(self, message: str, job_ids: tuple[str, ...], count: int) -> None:
        super().__init__(message)
        self.job_ids = job_ids
        self.count = count


class JobFailedError(HeadraceError):
    """The job has ended without a result.

    Attributes:
        job_id: The job.
        state: `dead`, `cancelled` or `expired`.
        reason: Of a dead job one of `DeadReason`; of a cancelled one what the order says, if anything.
        error_type: The class of what its last attempt raised, if it did.
        error_message: Its text.
        attempt: The number of the last attempt.
    """

    def __init__(self, message: str, found: Transition) -> None:
        super().__init__(message)
        self.job_id = found.job_id
        self.state = found.state
        self.reason = found.reason
        self.error_type = found.error_type
        self.error_message = found.error_message
        self.attempt = found.attempt


class ResultTimeoutError(HeadraceError, TimeoutError):
    """The job has not ended in time. It goes on; the same call may succeed later."""


class ResultUnavailableError(HeadraceError):
    """The result cannot be had from here; the message says why and where to look."""
