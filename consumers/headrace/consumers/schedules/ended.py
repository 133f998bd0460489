"""Which of a few jobs have come to their end, by what the events topic tells."""

from collections.abc import Mapping
from typing import Final

from confluent_kafka import Message

from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.tail import Tail
from headrace.pipeline.topology import Topology
from headrace.pipeline.transition_batches import BatchDecoder
from headrace.schemas.errors import HeadraceError
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

FORGOTTEN: Final = "forgotten"
"""In the place of a final state: the topic keeps nothing any more of the time of that job."""
_MARGIN: Final = 60_000
"""Milliseconds by which the broker's clock may differ from that of whoever fired."""


class EndedJobs:
    """Follows the events topic while there is a job to wait for, and else costs nothing.

    Owned by one thread.
    """

    def __init__(self, kafka: KafkaSettings, topology: Topology) -> None:
        self._kafka = kafka
        self._events = topology.events
        self._batches = BatchDecoder(kafka, topology)
        self._tail: Tail | None = None
        self._since: int | None = None
        self._whole = True
        self._wanted: dict[str, bytes] = {}
        self._last: dict[str, Transition] = {}

    def follow(self, jobs: Mapping[str, int]) -> None:
        """Say which jobs matter from now on, each with the time of its submission in epoch ms."""
        self._wanted = {job_id: job_id.encode() for job_id in jobs}
        self._last = {job_id: self._last[job_id] for job_id in jobs if job_id in self._last}
        if not jobs:
            self._rest()
            return
        self._reach(min(jobs.values()))

    def also(self, job_id: str, submitted: int) -> None:
        """Follow one more job: say so before what may tell of its end is read."""
        self._wanted[job_id] = job_id.encode()
        self._reach(submitted)

    def poll(self) -> None:
        """Take in what has come."""
        if self._since is not None and self._tail is not None:
            self._tail.poll(0)

    def state(self, job_id: str) -> str | None:
        """The final state of a job that is followed, as of this moment; None while it has none.

        Raises:
            KafkaException: The events topic cannot be read.
        """
        if self._tail is not None:
            self._tail.catch_up()
        return self.known(job_id)

    def known(self, job_id: str) -> str | None:
        """The same, as far as was read."""
        last = self._last.get(job_id)
        if last is None:
            return None if self._whole else FORGOTTEN
        return last.state if JobState(last.state).is_final else None

    def close(self) -> None:
        """Leave Kafka."""
        if self._tail is not None:
            self._tail.close()

    def _reach(self, submitted: int) -> None:
        """Read from before a time on, unless that was done."""
        since = max(0, submitted - _MARGIN)
        if self._since is not None and self._since <= since:
            return
        if self._tail is None:
            self._tail = Tail(self._kafka, self._events, self._take)
        self._whole = self._tail.start(since)
        self._since = since

    def _rest(self) -> None:
        if self._tail is not None and self._since is not None:
            self._tail.stop()
        self._since = None

    def _take(self, message: Message) -> None:
        payload = message.value()
        if not isinstance(payload, bytes):
            return
        # Ids lie in the payload as they are: most batches need not be decoded.
        if any(job_id in payload for job_id in self._wanted.values()):
            self._merge(payload)

    def _merge(self, payload: bytes) -> None:
        try:
            batch = self._batches.decode(payload)
        except HeadraceError:
            return  # a foreign record, or of a version that nobody published: it tells nothing here
        for each in batch:
            # `duplicate` is the end of a record that was not run, not of the job.
            if each.job_id not in self._wanted or each.state == JobState.DUPLICATE:
                continue
            last = self._last.get(each.job_id)
            if last is None or each.order > last.order:
                self._last[each.job_id] = each
