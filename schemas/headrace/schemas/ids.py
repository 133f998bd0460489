"""Job ids: time-ordered by default, derived where a submission must be recognised again."""

import os
import random
import time
import uuid
from itertools import count

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "headrace")


class _Ids:
    """UUIDv7s of one process: a millisecond, 26 bits that are random in each, and a count of all.

    The count begins anywhere in 47 bits, so processes differ in it, and those that happen to count the
    same numbers differ in the random bits of the millisecond. Any thread.
    """

    def __init__(self) -> None:
        # Our own: asking the system for each costs 15 µs beside another thread.
        self._chance = random.Random(os.urandom(32))
        self._count = count(16**11 + self._chance.getrandbits(47))  # always twelve digits
        self._latest = (0, "")

    def new(self) -> str:
        """Make one."""
        milliseconds = time.time_ns() // 1_000_000
        at, first = self._latest
        if at != milliseconds:
            clock, variant = f"{milliseconds:012x}", 0x8000 | self._chance.getrandbits(14)
            first = f"{clock[:8]}-{clock[8:]}-7{self._chance.getrandbits(12):03x}-{variant:04x}-"
            self._latest = (milliseconds, first)
        return f"{first}{next(self._count):x}"


_ids = _Ids()
os.register_at_fork(after_in_child=_ids.__init__)  # type: ignore[misc]
"""A forked child must not go on with its parent's."""


def new_job_id() -> str:
    """Make a UUIDv7 (RFC 9562 §5.7, counted as in §6.2): 48 bits of Unix milliseconds come first.

    Unique, and ordered by time to the millisecond; not a secret.
    """
    return _ids.new()


def dedup_job_id(pipeline: str, job_type: str, tenant: str | None, dedup_key: str) -> str:
    """Derive the job id of a deduplicated submission: a UUIDv5 of the four parts.

    The parts are joined by a control character and length-prefixed, so that no two different
    quadruples give one text.
    """
    parts = (pipeline, job_type, tenant or "", dedup_key)
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(f"{len(part)}:{part}" for part in parts)))


def foreign_job_id(topic: str, partition: int, offset: int) -> str:
    """Derive an id for a record that carries none, from where it lies: same record, same id."""
    return str(uuid.uuid5(_NAMESPACE, f"{topic}\x1f{partition}\x1f{offset}"))
