"""Job ids: time-ordered by default, derived where a submission must be recognised again."""

import os
import random
import time
import uuid

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "headrace")


_chance = random.Random(os.urandom(32))
os.register_at_fork(after_in_child=lambda: _chance.seed(os.urandom(32)))
"""A generator of our own: asking the system for each id costs 15 µs beside another thread. A
forked child must not go on with its parent's."""


def new_job_id() -> str:
    """Make a UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, the rest random.

    Unique, and ordered by time to the millisecond; not a secret.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | _chance.getrandbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


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
