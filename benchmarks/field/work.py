"""What the handlers of every system do, and the log that they append to.

Imported in each system's own environment, so it needs nothing but the standard library. The log is
one file: sixteen bytes for each execution, its number and the moment at which the handler began,
appended by one system call. So it costs the same for each system, is complete after any death of a
worker, and can be read by whoever wants to know what was lost or ran twice.
"""

import os
import struct
import time
import zlib
from functools import cache
from pathlib import Path

RECORD = struct.Struct("<QQ")
"""The job's number, and the time at which its handler began (epoch ns)."""
NAP = 0.005
ATTEMPTS = 3
"""Counted attempts of a flaky job, the first included."""
WAIT = 1.0
"""Seconds between them, where a system lets one say."""


class OnPurposeError(Exception):
    """A flaky job fails with this."""


def setting(name: str, default: str = "") -> str:
    """Give what the harness says to the processes of a run: BENCH_URL, BENCH_NAME …"""
    return os.environ.get(f"BENCH_{name}", default)


def needed(name: str) -> str:
    """Give what the harness must have said.

    Raises:
        SystemExit: It did not.
    """
    found = setting(name)
    if not found:
        raise SystemExit(f"BENCH_{name} is not set: `make bench` starts this module, and sets it")
    return found


@cache
def _log() -> int:
    return os.open(needed("LOG"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(number: int) -> None:
    """Append one execution."""
    os.write(_log(), RECORD.pack(number, time.time_ns()))


def spin(seconds: float) -> None:
    """Burn so much CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def fails(number: int, attempt: int) -> bool:
    """Whether a flaky job's attempt fails: a tenth of them do, always the same ones."""
    return zlib.crc32(f"{number}:{attempt}".encode()) % 10 == 0


def executions(number: int) -> int:
    """How often a flaky job must be run."""
    attempt = 1
    while attempt < ATTEMPTS and fails(number, attempt):
        attempt += 1
    return attempt


def dies(number: int) -> bool:
    """Whether a flaky job fails in all its attempts."""
    return all(fails(number, attempt) for attempt in range(1, ATTEMPTS + 1))


def perform(kind: str, number: int) -> None:
    """Do what a job of this kind does, in a plain function."""
    note(number)
    if kind == "nap":
        time.sleep(NAP)
    elif kind.startswith("spin"):
        spin(int(kind[4:]) / 1000)


async def perform_async(kind: str, number: int) -> None:
    """Do it in a coroutine function."""
    import asyncio  # noqa: PLC0415 - plain workers do without

    note(number)
    if kind == "nap":
        await asyncio.sleep(NAP)
    elif kind.startswith("spin"):
        spin(int(kind[4:]) / 1000)


def fail_or_not(number: int, attempt: int) -> None:
    """Do what a flaky job does.

    Raises:
        OnPurposeError: In a tenth of all attempts, until the harness says that it is mended.
    """
    note(number)
    if fails(number, attempt) and not Path(needed("LOG") + ".mended").exists():
        raise OnPurposeError(f"attempt {attempt} of job {number}")
