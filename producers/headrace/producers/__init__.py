"""Getting jobs in."""

from headrace.producers.errors import DeliveryError, PayloadTooLargeError, SubmitError
from headrace.producers.producer import Producer
from headrace.producers.receipt import Position, Receipt

__all__ = [
    "DeliveryError",
    "PayloadTooLargeError",
    "Position",
    "Producer",
    "Receipt",
    "SubmitError",
]
