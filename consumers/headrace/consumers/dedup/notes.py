"""Notes on the dedup topic: which submission of a `dedup_key` came first, and when.

One record for each job, on the partition that its lane's record lies on. Key: the lane's priority
and the job's id, since the lanes of a queue share the topic. Value: JSON, short because there is
one for every job with a `dedup_key`; a record without a value takes the note back.
"""

import json
from collections import OrderedDict
from datetime import timedelta
from hashlib import sha256
from typing import Final, NamedTuple

from headrace.pipeline.durations import to_milliseconds

LONGEST_GRACE: Final = timedelta(hours=1)
_LONGEST_ID: Final = 128
"""Characters of a job id that stand in a key as they are: foreign ids may be as long as a header,
and a note that no topic takes would hold up its partition."""


class Note(NamedTuple):
    """The submission that came first. Times in epoch milliseconds."""

    created: int
    """When it was submitted, which tells it from the others: all its records say the same."""
    first: int
    """When it was first taken up on its lane."""
    due: int = 0
    """When its next attempt is due, if the window would be over by then; else 0."""

    def encode(self) -> bytes:
        """Give the record's value."""
        if self.due:
            return b'{"created":%d,"first":%d,"due":%d}' % self
        return b'{"created":%d,"first":%d}' % self[:2]


Notes = OrderedDict[str, Note]
"""Notes by the names of their jobs, the latest last. Not a plain dict, which gets slow when it is
emptied from the front."""


class Span(NamedTuple):
    """How long notes hold, in milliseconds."""

    window: int
    grace: int
    """For how long after its next attempt was due a job counts as live, until that has come."""

    @classmethod
    def of(cls, window: timedelta) -> "Span":
        """Give the span of a queue's window; the grace is the shorter of it and an hour."""
        return cls(to_milliseconds(window), to_milliseconds(min(window, LONGEST_GRACE)))

    def end(self, note: Note) -> int:
        """Give the moment until which a note holds."""
        return max(note.first + self.window, note.due + self.grace if note.due else 0)


def decode(value: bytes) -> Note | None:
    """Read what `encode` wrote; None if it is something else, which then says nothing."""
    try:
        found = json.loads(value)
        note = Note(int(found["created"]), int(found["first"]), int(found.get("due", 0)))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return note


def name_of(job_id: str) -> str:
    """Give what stands for a job in keys and in memory: its id, or its hash if that is long."""
    return job_id if len(job_id) <= _LONGEST_ID else sha256(job_id.encode()).hexdigest()


def key_of(priority: str, name: str) -> bytes:
    """Give the key of a note."""
    return f"{priority}/{name}".encode()
