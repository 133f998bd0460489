"""Following the events topic for whoever waits for the end of a job he has submitted."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import KafkaException, Message

from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.tail import Tail
from headrace.pipeline.topology import Topology
from headrace.pipeline.transition_batches import BatchDecoder
from headrace.producers.errors import ResultUnavailableError
from headrace.producers.waits import Wait
from headrace.schemas.errors import HeadraceError
from headrace.schemas.transitions import Transition

KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of what was read last, kept so that the next caller costs no second reading."""
_MARGIN: Final = 60_000
"""Milliseconds by which the broker's clock may differ from that of whoever submitted."""
_POLL: Final = 0.05
_PAUSE: Final = 1.0
"""Seconds before the next try when Kafka does not answer."""
_REST_AFTER: Final = 60.0
"""Seconds without anybody waiting after which nothing is read any more."""
_FEW: Final = 20
"""Jobs up to which a batch is searched for each id before it is decoded."""


class Follower:
    """Reads the events topic in one thread while somebody waits; rests otherwise.

    Memory is bounded: `KEPT_BYTES` of batches, and a note for each caller.

    Args:
        kafka: Where Kafka is.
        topology: Of the pipeline.
        make_tail: Makes what reads the topic.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topology: Topology,
        make_tail: Callable[[KafkaSettings, str, Callable[[Message], object]], Tail] = Tail,
    ) -> None:
        self._kafka = kafka
        self._events = topology.events
        self._batches = BatchDecoder(kafka, topology)
        self._make_tail = make_tail
        self._lock = threading.Lock()
        self._new: list[Wait] = []
        self._left: list[Wait] = []
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        # What follows belongs to the thread.
        self._tail: Tail | None = None
        self._waits: dict[str, list[Wait]] = {}
        self._kept = _Kept()
        self._caught_up = False
        self._whole = True

    def follow(self, wait: Wait) -> None:
        """Begin to wait for a job. Never blocks for Kafka."""
        with self._lock:
            closed = self._closed.is_set()
            self._new.append(wait)
            if self._thread is None and not closed:
                self._thread = threading.Thread(
                    target=self._main, name="headrace-results", daemon=True
                )
                self._thread.start()
        if closed:
            wait.finish(_closed())

    def leave(self, wait: Wait) -> None:
        """The caller waits no longer."""
        with self._lock:
            self._left.append(wait)

    def close(self) -> None:
        """Stop; whoever still waits is told so."""
        self._closed.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=5)

    # -- in its thread ---------------------------------------------------------------------------

    def _main(self) -> None:
        rested = time.monotonic()
        while not self._closed.is_set():
            try:
                self._take_in()
                if self._waits:
                    rested = time.monotonic()
                elif time.monotonic() - rested > _REST_AFTER and self._rest():
                    return
                self._read()
            except KafkaException as error:
                self._recover(error)
            except Exception as error:
                self._give_up(_unexpected(error))
        self._give_up(_closed())

    def _take_in(self) -> None:
        """Begin with new waits: with what is kept, or by reading on from before the oldest."""
        with self._lock:
            new, self._new = self._new, []
            left, self._left = self._left, []
        for wait in left:
            self._forget(wait)
        for wait in new:
            self._waits.setdefault(wait.job_id, []).append(wait)
        if not self._waits:
            return
        if self._tail is None or any(wait.since - _MARGIN < self._kept.since for wait in new):
            self._start()
        elif new and self._caught_up:
            for payload in self._kept.with_any([wait.mark for wait in new]):
                self._merge(payload)
            self._conclude()

    def _start(self) -> None:
        """Read from before the oldest submission that somebody waits for."""
        if self._tail is None:
            self._tail = self._make_tail(self._kafka, self._events, self._take)
        since = min(wait.since for waits in self._waits.values() for wait in waits) - _MARGIN
        self._caught_up = False
        self._kept = _Kept(max(0, since))
        self._whole = self._tail.start(max(0, since))

    def _read(self) -> None:
        if self._tail is None:
            self._closed.wait(_POLL)
            return
        if not self._caught_up:
            self._tail.catch_up()
            self._caught_up = True
            self._conclude()
            if not self._whole:
                self._miss()
        self._tail.poll(_POLL)

    def _take(self, message: Message) -> None:
        payload = message.value()
        if not isinstance(payload, bytes):
            return
        self._kept.add(payload, message.timestamp()[1])
        marks = [job_id.encode() for job_id in self._waits] if len(self._waits) <= _FEW else [b""]
        # Ids lie in the payload as they are: most batches need not be decoded.
        if any(mark in payload for mark in marks) and self._merge(payload):
            self._conclude()

    def _merge(self, payload: bytes) -> bool:
        """Tell those who wait what a batch says; gives whether it says anything to them."""
        found = [each for each in self._decoded(payload) if each.job_id in self._waits]
        for each in found:
            for wait in self._waits[each.job_id]:
                wait.merge(each)
        return bool(found)

    def _decoded(self, payload: bytes) -> Iterable[Transition]:
        try:
            return self._batches.decode(payload)
        except HeadraceError:
            return ()  # a foreign record, or of a version that nobody published: no end of a job

    def _conclude(self) -> None:
        for wait in [wait for waits in self._waits.values() for wait in waits]:
            if wait.conclude(caught_up=self._caught_up):
                self._forget(wait)

    def _forget(self, wait: Wait) -> None:
        waits = self._waits.get(wait.job_id, [])
        if wait in waits:
            waits.remove(wait)
        if not waits:
            self._waits.pop(wait.job_id, None)

    def _miss(self) -> None:
        """The topic keeps nothing any more of the time of the oldest submissions."""
        for waits in list(self._waits.values()):
            for wait in [wait for wait in waits if wait.last is None]:
                wait.finish(_forgotten(wait, self._events))
                self._forget(wait)

    def _rest(self) -> bool:
        """End the thread, unless somebody has come."""
        with self._lock:
            if self._new:
                return False
            self._thread = None
        self._drop_tail()
        return True

    def _recover(self, error: KafkaException) -> None:
        """Begin again when Kafka only gave no answer; else tell whoever waits."""
        self._drop_tail()
        doing = f"reading {self._events} for the end of a job"
        found = explain(doing, kafka_error(error), self._kafka)
        if isinstance(found, KafkaUnavailableError):
            self._closed.wait(_PAUSE)
        else:
            self._give_up(ResultUnavailableError(str(found)))

    def _give_up(self, problem: HeadraceError) -> None:
        self._drop_tail()
        with self._lock:
            new, self._new = self._new, []
        for wait in [*new, *(wait for waits in self._waits.values() for wait in waits)]:
            wait.finish(problem)
        self._waits.clear()

    def _drop_tail(self) -> None:
        tail, self._tail = self._tail, None
        self._kept = _Kept()
        if tail is not None:
            tail.close()


class _Kept:
    """The batches read last, and since when all of them are there (epoch ms, the broker's clock)."""

    def __init__(self, since: int = 0) -> None:
        self.since = since
        self._batches: deque[tuple[bytes, int]] = deque()
        self._bytes = 0

    def add(self, payload: bytes, appended: int) -> None:
        """Keep one more; the oldest go when there are too many bytes."""
        self._batches.append((payload, appended))
        self._bytes += len(payload)
        while self._bytes > KEPT_BYTES:
            dropped, when = self._batches.popleft()
            self._bytes -= len(dropped)
            self.since = max(self.since, when + 1)

    def with_any(self, marks: list[bytes]) -> list[bytes]:
        """Give those that hold one of the ids; all of them when there are many ids."""
        if len(marks) > _FEW:
            return [payload for payload, _ in self._batches]
        return [payload for payload, _ in self._batches if any(mark in payload for mark in marks)]


def _closed() -> ResultUnavailableError:
    return ResultUnavailableError(
        "the producer was closed while its jobs' results were waited for: keep it open until then, "
        "or look with `headrace jobs show ID`"
    )


def _forgotten(wait: Wait, topic: str) -> ResultUnavailableError:
    return ResultUnavailableError(
        f"{topic} keeps nothing any more of the time when job {wait.job_id} was submitted, so it may "
        "have ended untold: look with `headrace jobs show ID`, wait sooner, or keep events longer "
        "(HEADRACE_TOPIC_RETENTION)"
    )


def _unexpected(error: Exception) -> ResultUnavailableError:
    return ResultUnavailableError(
        f"the results of jobs cannot be followed: {type(error).__name__}: {error}; look with "
        "`headrace jobs show ID`"
    )
