"""The dedup window as a lane sees it, without a broker: who waits for notes, and who does not.

What can go wrong: a job is judged before the notes are read; what waits loses its order, or is left
behind when its partition goes; an outcome is recorded before its note is stored.
"""

import random
from collections import OrderedDict, deque
from dataclasses import replace
from datetime import timedelta
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from headrace.consumers.dedup import Firsts, LaneDedup, NoteLog, Span
from headrace.consumers.dedup.first import came_back
from headrace.consumers.dedup.note_reader import Answer
from headrace.consumers.dedup.notes import Note
from headrace.consumers.execution import nobodys
from headrace.consumers.figures import LaneFigures
from headrace.consumers.orders import Orders
from headrace.consumers.outcomes import Finish
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.settled import Rules, Settled
from headrace.consumers.settling import settled
from headrace.pipeline import Lane, Queue
from headrace.pipeline.orders import CancelOrder
from headrace.pipeline.topology import Topology
from headrace.schemas.headers import JobHeaders
from headrace.schemas.states import JobState

NOW = 1_700_000_000_000
LANE = Lane("shop", "mail", "normal")
RULES = Rules(LANE, Topology("shop", (Queue("mail"),)), {}, "worker-1", chance=random.Random(1))
SPAN = Span.of(timedelta(hours=24))
REFUSED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


class FakeProducer:
    """Keeps what it is given until `answer`."""

    def __init__(self) -> None:
        self.sent: deque[tuple[bytes, bytes | None, int, Any]] = deque()
        self.refuses: KafkaError | None = None

    def produce(
        self, topic: str, value: bytes | None, key: bytes, *, partition: int, on_delivery: Any
    ) -> None:
        assert topic == "shop.mail.dedup"
        if self.refuses is not None:
            raise KafkaException(self.refuses)
        self.sent.append((key, value, partition, on_delivery))

    def poll(self, timeout: float) -> int:
        return 0

    def answer(self, error: KafkaError | None = None) -> bytes:
        key, _, _, on_delivery = self.sent.popleft()
        on_delivery(error, None)
        return key


class FakeReader:
    def __init__(self) -> None:
        self.asked: list[Assignment] = []
        self.ready: list[Answer] = []

    def ask(self, assignment: Assignment) -> None:
        self.asked.append(assignment)

    def answers(self) -> list[Answer]:
        ready, self.ready = self.ready, []
        return ready

    def reads(self, assignment: Assignment, **notes: Note) -> None:
        self.ready.append(Answer(assignment, OrderedDict(notes)))


class Scene:
    def __init__(self, *, ordered: bool = False) -> None:
        self.producer = FakeProducer()
        self.reader = FakeReader()
        self.figures = LaneFigures()
        self.orders = Orders()
        self.log = NoteLog(self.producer, "shop.mail.dedup")  # type: ignore[arg-type]
        self.recorded: set[int] = set()
        self.dedup = LaneDedup(
            replace(RULES, ordered=ordered),
            Firsts(SPAN, 100),
            self.log,
            self.reader,  # type: ignore[arg-type]
            self.figures,
            self.orders,
        )
        self.mine = Assignment(LANE.topic, 0, 1)
        self._offset = 0

    def record(
        self, job_id: str, created: int = NOW, *, dedup: bool = True, **where: Any
    ) -> JobRecord:
        self._offset += 1
        key = job_id if dedup else None
        job = JobHeaders(job_id, "work", "", created, LANE.topic, dedup_key=key)
        assignment = where.get("assignment", self.mine)
        place = (assignment.partition, self._offset, assignment)
        return JobRecord(job, b"k", b"", LANE, *place, nobodys(), 30.0)

    def admits(self, record: JobRecord) -> list[JobRecord | Settled]:
        return list(self.dedup.admit(record, NOW))

    def knows(self, **notes: Note) -> list[JobRecord | Settled]:
        """The notes of the partition have been read."""
        self.reader.reads(self.mine, **notes)
        return list(self.dedup.judged())

    def step(self) -> list[Settled]:
        return self.dedup.step(lambda record: record.offset in self.recorded, trusted=True)


def succeeded(record: JobRecord) -> Settled:
    return settled(record, Finish(JobState.SUCCEEDED), RULES, NOW)


def offsets(found: list[JobRecord | Settled]) -> list[int]:
    return [each.offset for each in found]


def test_a_job_with_a_key_waits_until_the_notes_of_its_partition_are_read() -> None:
    scene = Scene()
    first, second = scene.record("a"), scene.record("a", NOW + 1)
    assert scene.admits(first) == scene.admits(second) == []
    assert scene.reader.asked == [scene.mine]
    assert scene.dedup.waiting == 2
    assert scene.dedup.bytes == first.size + second.size
    runs, dropped = scene.knows()
    assert isinstance(runs, JobRecord)
    assert came_back(runs.headers)
    assert isinstance(dropped, Settled)
    assert (runs.offset, dropped.offset) == (first.offset, second.offset)
    assert (scene.dedup.waiting, scene.dedup.bytes) == (0, 0)


def test_what_the_notes_say_decides_over_what_waited() -> None:
    scene = Scene()
    scene.admits(scene.record("a"))
    [dropped] = scene.knows(a=Note(NOW - 99, 2 * NOW))
    assert isinstance(dropped, Settled)


def test_a_job_without_a_key_does_not_wait_unless_order_asks_for_it() -> None:
    free, ordered = Scene(), Scene(ordered=True)
    for scene in (free, ordered):
        assert not scene.dedup.concerns(scene.record("before", dedup=False))
        scene.admits(scene.record("a"))
    assert not free.dedup.concerns(free.record("plain", dedup=False))
    plain = ordered.record("plain", dedup=False)
    assert ordered.dedup.concerns(plain)
    assert ordered.admits(plain) == []
    elsewhere = ordered.record("b", dedup=False, assignment=Assignment(LANE.topic, 1, 2))
    assert not ordered.dedup.concerns(elsewhere)
    assert offsets(ordered.knows()) == [2, 3]


def test_a_partition_with_many_waiting_jobs_is_not_read_further() -> None:
    scene = Scene()
    for number in range(200):
        assert not scene.dedup.has_enough(0)
        scene.admits(scene.record(str(number)))
    assert scene.dedup.has_enough(0)
    assert not scene.dedup.has_enough(1)
    scene.knows()
    assert not scene.dedup.has_enough(0)


def test_what_waits_is_given_back_with_its_partition_and_notes_that_come_late_are_not_taken() -> (
    None
):
    scene = Scene()
    scene.admits(scene.record("a"))
    assert scene.dedup.withdraw([(LANE.topic, 0)]) == {(LANE.topic, 0): 1}
    scene.mine.closed = True
    scene.dedup.forget([0])
    assert scene.knows() == []
    again = Assignment(LANE.topic, 0, 2)
    assert scene.admits(scene.record("a", assignment=again)) == []
    assert scene.reader.asked[-1] is again


def test_notes_that_cannot_be_read_are_asked_for_again_and_the_reason_is_told(
    monkeypatch: Any,
) -> None:
    scene = Scene()
    scene.admits(scene.record("a"))
    scene.reader.ready.append(Answer(scene.mine, None, "no such topic"))
    assert list(scene.dedup.judged()) == []
    scene.step()
    assert scene.figures.unnoted == "no such topic"
    assert (scene.dedup.waiting, len(scene.reader.asked)) == (1, 1)
    monkeypatch.setattr("headrace.consumers.dedup.lane_dedup.time.monotonic", lambda: 1e12)
    scene.step()
    assert len(scene.reader.asked) == 2
    assert len(scene.knows()) == 1
    scene.step()
    assert scene.figures.unnoted == ""


def running(scene: Scene, job_id: str = "a") -> JobRecord:
    scene.admits(scene.record(job_id))
    [runs] = scene.knows()
    assert isinstance(runs, JobRecord)
    return runs


def test_an_outcome_is_recorded_only_when_its_note_is_stored() -> None:
    scene = Scene()
    runs = running(scene)
    outcome = succeeded(runs)
    assert scene.dedup.keeps_back(runs, outcome)
    assert scene.step() == []
    assert scene.dedup.busy
    assert scene.producer.answer() == b"normal/a"
    assert scene.step() == [outcome]
    assert not scene.dedup.busy


def test_an_outcome_whose_note_is_stored_already_does_not_wait() -> None:
    scene = Scene()
    runs = running(scene)
    scene.step()
    scene.producer.answer()
    scene.step()
    assert not scene.dedup.keeps_back(runs, succeeded(runs))


def test_a_refused_note_is_sent_again_and_its_outcome_waits(monkeypatch: Any) -> None:
    scene = Scene()
    runs = running(scene)
    scene.step()
    outcome = succeeded(runs)
    assert scene.dedup.keeps_back(runs, outcome)
    scene.producer.answer(REFUSED)
    assert scene.step() == []
    assert scene.figures.unnoted == REFUSED.str()
    assert not scene.producer.sent
    monkeypatch.setattr("headrace.consumers.dedup.note_log.time.monotonic", lambda: 1e12)
    scene.producer.refuses = REFUSED  # and refused at once by the client
    assert scene.step() == []
    scene.producer.refuses = None
    monkeypatch.setattr("headrace.consumers.dedup.note_log.time.monotonic", lambda: 2e12)
    scene.step()
    scene.producer.answer()
    assert scene.step() == [outcome]
    assert scene.figures.unnoted == ""


def test_a_job_is_live_until_its_outcome_is_recorded() -> None:
    scene = Scene()
    runs = running(scene)
    scene.dedup.keeps_back(runs, succeeded(runs))
    scene.step()
    late = NOW + 1_000_000_000
    [dropped] = scene.dedup.admit(scene.record("a", NOW + 5), late)
    assert isinstance(dropped, Settled)
    scene.recorded.add(runs.offset)
    scene.step()
    [again] = scene.dedup.admit(scene.record("a", NOW + 6), late * 2)
    assert isinstance(again, JobRecord)


def test_a_submission_after_the_first_was_cancelled_runs_wherever_that_one_is() -> None:
    """It waits in a delay tier, where no lane sees it dropped; or it runs, and is about to end."""
    waits, runs = Scene(), Scene()
    for scene in (waits, runs):
        first = running(scene)
        if scene is waits:
            scene.recorded.add(first.offset)
            scene.dedup.keeps_back(first, succeeded(first))
            scene.step()
        [dropped] = scene.admits(scene.record("a", NOW + 10))
        assert isinstance(dropped, Settled)
        scene.orders.take(CancelOrder("a", NOW + 20, "", "", 2 * NOW), NOW)
        [again] = scene.admits(scene.record("a", NOW + 30))
        assert isinstance(again, JobRecord)
        [dropped] = scene.admits(scene.record("a", NOW + 40))
        assert isinstance(dropped, Settled)


def test_outcomes_of_partitions_that_were_lost_are_fenced() -> None:
    scene = Scene()
    runs = running(scene)
    scene.dedup.keeps_back(runs, succeeded(runs))
    scene.step()
    scene.mine.closed = True
    scene.dedup.forget([0])
    assert scene.figures.fenced == 1
    scene.producer.answer()
    assert scene.step() == []
    assert not scene.dedup.busy
