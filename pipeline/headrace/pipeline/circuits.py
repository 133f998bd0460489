"""Circuits: a job type whose jobs fail again and again is left alone for a while.

    closed ── too many fail ──▶ open ── its time is over ──▶ half-open ── trial jobs end well ──▶ closed
                                 ▲                              │
                                 └──────── they fail ───────────┘

The state of a job type stands on the control topic under `circuit/<job type>`, JSON, times in epoch
milliseconds. While it is open its jobs wait in the delay tiers, and that is no attempt. Half-open is
an open one whose `until` has passed: every lane lets some trial jobs through.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import quote, unquote

from headrace.pipeline.compacted import CompactedRecord
from headrace.pipeline.durations import format_duration, to_milliseconds
from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.topology import Topology
from headrace.schemas.headers import MAX_MESSAGE

_LOG = logging.getLogger("headrace.circuits")
_PREFIX: Final = b"circuit/"
FORGOTTEN: Final = 300_000
"""Milliseconds after `until` from which a circuit that nobody judged counts as closed: where no
statistics run, jobs must not wait for ever."""
_SHORTEST: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """When jobs of a type are left alone, and how it is found out that they work again.

    Needs `headrace processors statistics`: its figures of the last minute open and close circuits.

    Attributes:
        error_share: Opens when so many of the attempts of the last minute failed (above 0, at most 1).
        min_jobs: But not before so many have ended.
        open_for: How long jobs wait before trial jobs run; ten seconds at least.
        trial_jobs: How many run then, on each lane of each worker.

    Raises:
        DeclarationError: A value is out of its range.
    """

    error_share: float = 0.5
    min_jobs: int = 20
    open_for: timedelta = timedelta(seconds=30)
    trial_jobs: int = 5

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not 0 < self.error_share <= 1:
            raise DeclarationError(
                f"CircuitPolicy: error_share={self.error_share} must be above 0 and at most 1"
            )
        for name in ("min_jobs", "trial_jobs"):
            if getattr(self, name) < 1:
                raise DeclarationError(
                    f"CircuitPolicy: {name}={getattr(self, name)} must be 1 or more"
                )
        if self.open_for < _SHORTEST:
            raise DeclarationError(
                f"CircuitPolicy: open_for={format_duration(self.open_for)} must be "
                f"{format_duration(_SHORTEST)} or more: errors are counted in buckets of that length"
            )

    @property
    def open_ms(self) -> int:
        """`open_for` in milliseconds."""
        return to_milliseconds(self.open_for)


@dataclass(frozen=True, slots=True)
class Circuit:
    """The circuit of a job type, as the control topic has it.

    Attributes:
        job_type: Whose.
        is_open: Whether it was opened; half-open once `until` has passed.
        at: When it came into this state.
        until: When trial jobs may run; 0 of a closed one.
        trial_jobs: How many, on each lane of each worker.
        by: `statistics`, or who did it by hand.
        reason: Why, in words for people.
    """

    job_type: str
    is_open: bool
    at: int
    until: int
    trial_jobs: int
    by: str
    reason: str = ""

    def state(self, now: int) -> str:
        """Say `open`, `half-open` or `closed`."""
        if not self.is_open or now >= self.until + FORGOTTEN:
            return "closed"
        return "open" if now < self.until else "half-open"

    def as_json(self) -> dict[str, object]:
        """What stands on the topic."""
        return {
            "open": self.is_open,
            "at": self.at,
            "until": self.until,
            "trial_jobs": self.trial_jobs,
            "by": self.by,
            "reason": self.reason[:MAX_MESSAGE],
        }


def circuit_record(topology: Topology, circuit: Circuit) -> CompactedRecord:
    """Make the record of a circuit."""
    key = _PREFIX + quote(circuit.job_type, safe=" ").encode()
    return CompactedRecord(topology.control, key, json.dumps(circuit.as_json()).encode())


def job_type_of(key: bytes | None) -> str | None:
    """Read a key; None when the record is no circuit."""
    if key is None or not key.startswith(_PREFIX):
        return None
    return unquote(key.removeprefix(_PREFIX).decode(errors="replace")) or None


def read_circuit(job_type: str, value: bytes) -> Circuit | None:
    """Read a circuit; one that cannot be read is logged and counts as closed."""
    try:
        found = json.loads(value)
        return Circuit(
            job_type,
            bool(found["open"]),
            int(found["at"]),
            int(found["until"]),
            int(found["trial_jobs"]),
            str(found.get("by", "")),
            str(found.get("reason", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        _LOG.warning("the circuit of %s cannot be read and counts as closed: %s", job_type, error)
        return None


def circuits_in(records: Mapping[bytes, bytes]) -> Mapping[str, Circuit]:
    """Find the circuits among the records of the control topic."""
    found = {}
    for key, value in records.items():
        job_type = job_type_of(key)
        circuit = None if job_type is None else read_circuit(job_type, value)
        if circuit is not None:
            found[circuit.job_type] = circuit
    return found
