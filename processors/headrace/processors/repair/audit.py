"""The audit topic `<pipeline>.audit`: who changed what by hand, when and why.

Names in it are what people said they are, or the operating system's user name. Nobody checks them:
whoever may write to Kafka can write any name. It is a memory, not an evidence.
"""

import getpass
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.pipeline.compacted import CompactedRecord, write_all
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.pipeline.topology import Topology
from headrace.processors.job_history import require
from headrace.processors.reader import Progress, TopicReader
from headrace.processors.sightings import as_bytes
from headrace.processors.snapshot import CLOCK_MARGIN, Cluster
from headrace.processors.times import both_times

_LOG = logging.getLogger("headrace.audit")
UNKNOWN_USER: Final = "unknown"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change by hand.

    Attributes:
        at: When, in epoch milliseconds.
        who: Who, as they said.
        what: What was done, such as `discard`, `edit`, `import` or `replay`.
        why: The reason that was given; may be empty.
        how_many: How many letters or jobs it was about.
        details: More, as JSON has it: filters, ids, names.
    """

    at: int
    who: str
    what: str
    why: str
    how_many: int
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Keys: `at_ms`, `at`, `who`, `what`, `why`, `how_many`, `details`."""
        return {
            **both_times("at", self.at),
            "who": self.who,
            "what": self.what,
            "why": self.why,
            "how_many": self.how_many,
            "details": dict(self.details),
        }


def audit_record(topology: Topology, entry: AuditEntry) -> CompactedRecord:
    """Make the record of an entry, for a producer of one's own."""
    stored = {
        "at": entry.at,
        "who": entry.who,
        "what": entry.what,
        "why": entry.why,
        "how_many": entry.how_many,
        "details": dict(entry.details),
    }
    value = json.dumps(stored, ensure_ascii=False).encode(errors="replace")
    return CompactedRecord(topology.audit, entry.what.encode(), value)


def write_audit(kafka: KafkaSettings, topology: Topology, entry: AuditEntry) -> None:
    """Write an entry; it is acknowledged on return.

    Written before the change, so that no change goes without: a crash in between leaves an entry
    about a change that did not happen, and doing it again writes another one.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The topic does not exist or may not be written.
    """
    write_all(kafka, [audit_record(topology, entry)])


def read_audit(
    pipeline: Pipeline,
    kafka: KafkaSettings,
    *,
    since: int | None = None,
    progress: Progress | None = None,
) -> Iterator[AuditEntry]:
    """Give the entries that are kept, oldest first.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        since: Only entries made at or after this time, in epoch milliseconds.
        progress: Told how far the reading is.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The topic does not exist or may not be read.
    """
    cluster = Cluster(kafka)
    snapshot = cluster.snapshot(pipeline, (Role.AUDIT,))
    require(snapshot, pipeline.topology.audit)
    spans = snapshot.of((Role.AUDIT,))
    if since is not None:
        spans = cluster.since(spans, since - CLOCK_MARGIN)
    with TopicReader(kafka, progress) as reader:
        for message in reader.read(spans):
            entry = _read(as_bytes(message.value()), f"offset {message.offset()}")
            if entry is not None and (since is None or entry.at >= since):
                yield entry


def user_name() -> str:
    """Give the name under which this process runs; nobody has proven it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return UNKNOWN_USER


def _read(value: bytes | None, where: str) -> AuditEntry | None:
    try:
        found: dict[str, Any] = json.loads(value or b"")
        return AuditEntry(
            int(found["at"]),
            str(found["who"]),
            str(found["what"]),
            str(found.get("why") or ""),
            int(found.get("how_many") or 0),
            dict(found.get("details") or {}),
        )
    except (ValueError, KeyError, TypeError) as error:
        _LOG.warning("the audit topic holds an unreadable entry at %s: %s", where, error)
        return None
