"""Errors of publishing.

HeadraceError
└── SubmitError               nothing was sent: an option is wrong, the local queue stays full …
    ├── PayloadTooLargeError  the record would not fit the lane
    └── DeliveryError         sent, but no broker acknowledged it
"""

from headrace.schemas.errors import HeadraceError


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
