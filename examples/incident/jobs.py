"""What the shop declares: two job types, which a release may break.

The release stands in the environment of the worker, as a new image would. Handlers note each effect
in a file, so that the story can tell whether a job did its work twice.
"""

import os
from typing import Final

from headrace.pipeline import JobContext, Pipeline, Queue, Retry

RELEASE: Final = "INCIDENT_RELEASE"
EFFECTS: Final = "INCIDENT_EFFECTS"
BAD, FIXED = "4.2.0", "4.2.1"
VAT: Final = {"DE": 19, "FR": 20, "NL": 21}
SERVICES: Final = frozenset({"standard"})

incident = Pipeline("incident", queues=[Queue("orders", priorities=("normal",), partitions=4)])
ONCE: Final = Retry(max_attempts=1)
"""A story has no time for retries; what is dead is dead after its policy's last attempt."""


class CarrierError(Exception):
    """The carrier refused."""


@incident.job("invoice.send", retry=ONCE)
async def send_invoice(context: JobContext, order: int, country: str, email: str) -> int:
    """Give the VAT in percent. Release 4.2.0 looks it up in a table that is not filled."""
    if not email:
        raise ValueError(f"order {order} has no email address")
    table = {} if os.environ.get(RELEASE) == BAD else VAT
    rate = table[country]
    _note_effect(context.id)
    return rate


@incident.job("parcel.label", retry=ONCE)
async def print_label(context: JobContext, order: int, service: str) -> None:
    """Print a label; the carrier has dropped a service that the shop still asks for."""
    if service not in SERVICES:
        raise CarrierError(f"no service {service!r} for order {order}")
    _note_effect(context.id)


def _note_effect(job_id: str) -> None:
    path = os.environ.get(EFFECTS)
    if path:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 - one short append
            file.write(f"{job_id}\n")
