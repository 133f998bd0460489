"""A lock between processes, held by a file; the kernel lets go of it when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.pipeline.broker.layout import unusable
from headrace.pipeline.broker.options import Progress


@contextmanager
def exclusive(path: Path, progress: Progress, waiting: str) -> Iterator[None]:
    """Hold the lock of a file; wait for whoever holds it, saying so once.

    Args:
        path: the lock file, made if needed and never deleted (deleting it would let two in).
        progress: told `waiting` when the lock is held by another.
        waiting: one line for a person.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        _acquire(descriptor, progress, waiting)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, progress: Progress, waiting: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress(waiting)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
