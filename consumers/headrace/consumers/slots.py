"""Slots: how many jobs run at a time in one process, and which lane gets the next free one.

Stride scheduling (Waldspurger, 1995): each lane has a pass that grows by 1/weight with every job
it starts; the free slot goes to the lane with the smallest pass. So no lane starves, and the share
of an idle lane goes to the others.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from headrace.consumers.clock import now_ms
from headrace.consumers.records import JobRecord
from headrace.pipeline.queues import Lane

_STRIDE = 1_000_000
LOW_WATER = 500
"""Jobs waiting in a lane's buffer below which its thread should fetch more."""


class LaneBuffer:
    """Jobs of one lane that wait for a slot. Everything under the lock of its `Slots`."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.stride = _STRIDE // max(1, lane.weight)
        self.passed = 0
        self.waiting: deque[JobRecord] = deque()
        self.bytes = 0
        self.running = 0
        self.fresh_until = float("inf")
        """Monotonic seconds until which its thread is known to own what waits here: a process
        that was stopped or cut off must not start jobs that another one has by now."""
        self.started: dict[tuple[int, int], tuple[JobRecord, int]] = {}
        self.room = threading.Event()
        """Set when the buffer fell to its low-water mark, or the lane must stop."""

    def __len__(self) -> int:
        return len(self.waiting)


class Slots:
    """The slots of one pool in one process. Thread-safe.

    Args:
        count: Jobs that may run at a time.
        start: Starts one job; called with the lock held, must not block. The job may have ended,
            and been told so, before it returns.
    """

    def __init__(self, count: int, start: Callable[[JobRecord], None]) -> None:
        self.count = count
        self.used = 0
        self._start = start
        # Re-entrant: a job that has ended while it is being started is told of right there.
        self._lock = threading.RLock()
        self._filling = False
        self._buffers: list[LaneBuffer] = []
        self._passed = 0
        self._paused = False

    def add_lane(self, lane: Lane) -> LaneBuffer:
        """Register a lane; its buffer goes with it."""
        buffer = LaneBuffer(lane)
        with self._lock:
            self._buffers.append(buffer)
        return buffer

    def offer(self, buffer: LaneBuffer, records: Iterable[JobRecord]) -> None:
        """Add jobs that are ready to run, and start as many as slots are free."""
        with self._lock:
            if not buffer.waiting:
                buffer.passed = max(buffer.passed, self._passed)
            for record in records:
                buffer.waiting.append(record)
                buffer.bytes += record.size
            self._fill()

    def finished(self, buffer: LaneBuffer, record: JobRecord) -> None:
        """A job of the lane has ended: its slot goes to the next one."""
        with self._lock:
            self.used -= 1
            buffer.running -= 1
            buffer.started.pop((record.partition, record.offset), None)
            self._fill()

    def started(self, buffer: LaneBuffer) -> list[tuple[JobRecord, int]]:
        """Give what runs, with the epoch milliseconds of its start."""
        with self._lock:
            return list(buffer.started.values())

    def withdraw(self, buffer: LaneBuffer, drop: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Take jobs out of the buffer that have not been started."""
        with self._lock:
            taken = [record for record in buffer.waiting if drop(record)]
            kept = [record for record in buffer.waiting if not drop(record)]
            buffer.waiting = deque(kept)
            buffer.bytes = sum(record.size for record in kept)
            return taken

    def drop(self, buffer: LaneBuffer, wanted: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Take out jobs that are not to be started at all, while their partition goes on."""
        with self._lock:
            taken = self.withdraw(buffer, wanted)
            for record in taken:
                record.assignment.started += 1  # it waits for no slot any more
            return taken

    def pause(self) -> None:
        """Start nothing until `resume`; running jobs are not touched."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Start jobs again."""
        with self._lock:
            self._paused = False
            self._fill()

    def resize(self, count: int) -> None:
        """Change the number of slots; running jobs are not touched."""
        with self._lock:
            self.count = count
            self._fill()

    def _fill(self) -> None:
        if self._filling:
            return
        self._filling = True
        try:
            self._start_waiting()
        finally:
            self._filling = False

    def _start_waiting(self) -> None:
        while self.used < self.count and not self._paused:
            buffer = self._next(time.monotonic())
            if buffer is None:
                return
            record = buffer.waiting.popleft()
            buffer.bytes -= record.size
            if record.assignment.closed:
                continue
            record.assignment.started += 1
            self._passed = buffer.passed
            buffer.passed += buffer.stride
            buffer.running += 1
            self.used += 1
            buffer.started[record.partition, record.offset] = (record, now_ms())
            if len(buffer.waiting) == LOW_WATER:
                buffer.room.set()
            self._start(record)

    def _next(self, now: float) -> LaneBuffer | None:
        best: LaneBuffer | None = None
        for buffer in self._buffers:
            if not buffer.waiting or now >= buffer.fresh_until:
                continue
            if best is None or buffer.passed < best.passed:
                best = buffer
        return best
