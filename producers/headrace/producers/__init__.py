"""Getting jobs in."""

from headrace.producers.errors import (
    DeliveryError,
    JobFailedError,
    PayloadTooLargeError,
    ResultTimeoutError,
    ResultUnavailableError,
    SubmitError,
)
from headrace.producers.producer import Producer
from headrace.producers.receipt import Position, Receipt

__all__ = [
    "DeliveryError",
    "JobFailedError",
    "PayloadTooLargeError",
    "Position",
    "Producer",
    "Receipt",
    "ResultTimeoutError",
    "ResultUnavailableError",
    "SubmitError",
]
