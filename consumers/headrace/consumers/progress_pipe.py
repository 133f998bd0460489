"""Progress from child processes: short messages on one pipe, written and read without waiting.

A message is a line of JSON, shorter than what the system writes in one piece. So a child that is
killed leaves no half of one, and no lock: whatever becomes of it, the others and the worker go on.
"""

import json
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Final

from headrace.consumers.running import Call
from headrace.pipeline.context import Progress

_CHUNK: Final = 65_536
_OFTEN: Final = 0.1
"""Seconds between two messages of a child; the last of a burst goes with the next look, or the end."""

Teller = tuple[str, int]
"""Whose progress it is: the job's id, and its attempt."""


class ProgressPipe:
    """The worker's end, and the end that its children inherit."""

    def __init__(self) -> None:
        self._reader, self.writer = Pipe(duplex=False)
        os.set_blocking(self._reader.fileno(), False)
        os.set_blocking(self.writer.fileno(), False)
        self._rest = b""

    def read(self) -> Iterator[tuple[Teller, Progress]]:
        """Give what has come. What is no message is passed over: a job may have written it."""
        *lines, self._rest = (self._rest + self._available()).split(b"\n")
        for line in lines:
            with suppress(ValueError, TypeError):
                job_id, attempt, fraction, text = json.loads(line)
                yield (str(job_id), int(attempt)), Progress(float(fraction), text)

    def _available(self) -> bytes:
        found = b""
        with suppress(BlockingIOError):
            while chunk := os.read(self._reader.fileno(), _CHUNK):
                found += chunk
                if len(chunk) < _CHUNK:
                    break
        return found


class ChildProgress:
    """The child's side: what its one running job tells, sent at once or soon. Thread-safe."""

    def __init__(self, writer: Connection | None) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._call: Call | None = None
        self._latest: Progress | None = None
        self._sent: Progress | None = None
        self._sent_at = 0.0

    def begin(self, call: Call) -> None:
        """A job begins."""
        with self._lock:
            self._call, self._latest, self._sent = call, None, None

    def tell(self, call: Call, progress: Progress) -> None:
        """Take what it tells; not what a thread tells that an earlier job has left behind."""
        with self._lock:
            if call is not self._call:
                return
            self._latest = progress
            if time.monotonic() - self._sent_at >= _OFTEN:
                self._send()

    def flush(self) -> None:
        """Send what was kept back; called from time to time."""
        with self._lock:
            self._send()

    def end(self) -> Progress | None:
        """The job has ended: give its last word, for the answer to take along."""
        with self._lock:
            self._call = None
            return self._latest

    def _send(self) -> None:
        call, latest = self._call, self._latest
        if call is None or latest is None or latest is self._sent or self._writer is None:
            return
        message = json.dumps([call.job_id, call.attempt, *latest], ensure_ascii=False).encode()
        if len(message) >= select.PIPE_BUF:  # a foreign job's long id: only its last word is told
            return
        with suppress(OSError):  # full, or closed by the job: tried again
            os.write(self._writer.fileno(), message + b"\n")
            self._sent, self._sent_at = latest, time.monotonic()
