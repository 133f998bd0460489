"""Replays of dead letters on a real Kafka.

What can go wrong: a job is lost or runs twice because a replay died between the lane and its own
record, because two processes work on it, or because it is resumed long after; a letter that cannot
run stops the others; bytes, key or history change on the way. The tests share a stage: the letters
of each have a tenant of their own.
"""

import secrets
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Message, TopicPartition
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from headrace.pipeline.kafka import make_admin, make_consumer
from headrace.processors.repair import replay_setting
from headrace.processors.repair.audit import read_audit
from headrace.processors.repair.letter_filter import LetterFilter
from headrace.processors.repair.letter_states import (
    LetterMark,
    LetterState,
    read_marks,
    write_marks,
)
from headrace.processors.repair.replay_check import Aim
from headrace.processors.repair.replay_definition import Phase, ReplayOptions, ReplayProgress
from headrace.processors.repair.replay_errors import NoReplayError, ReplayError, TakenOverError
from headrace.processors.repair.replay_journal import ReplayJournal
from headrace.processors.repair.replay_record import Attempts
from headrace.processors.repair.replays import Ended, Replays
from headrace.processors.sightings import Location
from headrace.schemas import headers
from headrace.schemas.states import JobState
from tests.support.buried import HISTORY, bury
from tests.support.jobs import Journal
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
LANES = ("default.normal",)


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage.build(f"t{uuid.uuid4().hex[:8]}", kafka, tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


@pytest.fixture
def mine(stage: Stage) -> "Mine":
    return Mine(stage, f"tenant-{uuid.uuid4().hex[:8]}")


class Mine:
    """The letters of one test, and replays of them."""

    def __init__(self, stage: Stage, tenant: str) -> None:
        self.stage = stage
        self.tenant = tenant
        self.journal: Journal = stage.journal()
        self.replays = Replays(stage.pipeline, stage.kafka)

    def bury(self, count: int = 1, **how: Any) -> list[str]:
        arguments = {"journal": self.journal.path} | how.pop("arguments", {})
        return bury(self.stage, count, tenant=self.tenant, arguments=arguments, **how)

    def options(self, **how: Any) -> ReplayOptions:
        return ReplayOptions(wanted=LetterFilter(tenants=(self.tenant,)), **how)

    def replay(self, name: str = "", stop: threading.Event | None = None, **how: Any) -> Ended:
        definition = self.replays.define(self.options(**how), name=name or self.tenant, by="ada")
        assert definition is not None
        return self.replays.begin(definition, stop or threading.Event())

    def resume(self) -> Ended:
        return self.replays.resume(self.tenant, threading.Event())

    def on_lane(self, lane: str = "default.normal") -> list[Message]:
        found = self.stage.records(lane)
        return [m for m in found if headers_of(m).get(headers.TENANT) == self.tenant.encode()]

    def ids_on_lane(self) -> Counter[str]:
        return Counter((headers_of(m)[headers.ID] or b"").decode() for m in self.on_lane())

    def work_off(self, ids: list[str]) -> None:
        """Run everything; all of these jobs succeed."""
        with self.stage.worker(LANES):
            for job_id in ids:
                self.stage.await_state(job_id, JobState.SUCCEEDED)
            self.stage.drained()


class Crash(BaseException):
    """Stands for the death of a process."""


def crash_before_record(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let a replay die when its batch `number` is on the lanes and not recorded."""
    record, calls = ReplayJournal.record, iter(range(1_000))

    def dying(self: ReplayJournal, *arguments: Any) -> None:
        if next(calls) == number:
            raise Crash
        record(self, *arguments)

    monkeypatch.setattr(ReplayJournal, "record", dying)


def test_a_replayed_job_has_its_bytes_key_and_history_and_is_one_generation_on(mine: Mine) -> None:
    (job_id,) = mine.bury(key=b"customer-7", extra=(("traceparent", b"00-1-2-03"),))
    ended = mine.replay()
    (found,) = mine.on_lane()
    (letter,) = [m for m in mine.stage.dead() if headers_of(m)[headers.ID] == job_id.encode()]
    assert ended.finished
    assert (found.value(), found.key()) == (letter.value(), letter.key())
    job = headers.decode(headers_of(found).items(), lane="", timestamp=0)
    assert (job.job_id, job.generation, job.step, job.attempt) == (job_id, 1, 6, 1)
    assert job.history == HISTORY
    assert dict(job.extra) == {headers.REPLAY: mine.tenant.encode(), "traceparent": b"00-1-2-03"}
    assert headers.ERROR_TYPE not in headers_of(found)


def test_a_replay_marks_its_letters_and_is_in_the_audit_and_told_by_its_group(mine: Mine) -> None:
    ids = mine.bury(5)
    mine.replay()
    stage, topology = mine.stage, mine.stage.pipeline.topology
    marks = [m for m in read_marks(stage.kafka, topology).values() if m.replay == mine.tenant]
    assert sorted(mark.job for mark in marks) == sorted(ids)
    assert {(mark.state, mark.generation, mark.by) for mark in marks} == {
        (LetterState.REPLAYED, 0, "ada")
    }
    entries = [
        e for e in read_audit(stage.pipeline, stage.kafka) if e.details["replay"] == mine.tenant
    ]
    assert [(e.what, e.details["phase"], e.who, e.how_many) for e in entries] == [
        ("replay", "begun", "ada", 5),
        ("replay", "finished", "ada", 5),
    ]
    assert lag_of_group(stage, mine.replays.group(mine.tenant)) == 0


def lag_of_group(stage: Stage, group: str) -> int:
    consumer = make_consumer(stage.kafka, group)
    places = [TopicPartition(stage.topic("default.dlq"), number) for number in range(3)]
    lag = 0
    for place in consumer.committed(places, timeout=10):
        assert place.offset >= 0
        lag += consumer.get_watermark_offsets(place, timeout=10)[1] - place.offset
    consumer.close()
    return lag


def test_what_cannot_run_is_refused_by_cause_and_the_rest_goes_on(mine: Mine) -> None:
    topic = mine.stage.topic
    good = mine.bury(3)
    mine.bury(2, job_type="gone")
    mine.bury(job_type="gone", payload=b"x", lane="default.normal")
    mine.bury(payload=b"\xc3\x01 nobody knows this")
    mine.bury(payload=b"no avro at all")
    mine.bury(payload=mine.stage.pipeline.job_types["work"].arguments.prefix + b"\x02")
    mine.bury(generation=3)
    mine.bury(expires=1_700_000_000_500)
    mine.bury(lane="elsewhere.normal")
    (late,) = mine.bury(generation=2, expires=4_000_000_000_000)
    expected = {
        "type-gone": 3,
        "schema-unknown": 1,
        "undecodable": 2,
        "too-many-replays": 1,
        "expired": 1,
        "no-lane": 1,
    }
    dry = mine.replays.dry_run(mine.options())
    assert {kind.cause: kind.count for kind in dry.refused} == expected
    assert (dry.matched, dry.would_run, dry.runs) == (13, 4, {"work": 4})
    assert [lane.lane for lane in dry.lanes] == [topic("default.normal")]
    ended = mine.replay()
    assert ended.progress.refused == expected
    assert ended.progress.replayed == 4
    assert sorted(mine.ids_on_lane()) == sorted([*good, late])


def test_a_letter_whose_arguments_todays_handler_does_not_take_is_refused(mine: Mine) -> None:
    other = mine.stage.pipeline.job_types["blob"].arguments
    mine.bury(payload=other.encode(other.bind(journal="x", data=b"y")))
    assert [kind.cause for kind in mine.replays.dry_run(mine.options()).refused] == ["does-not-fit"]


def test_a_dry_run_changes_nothing(mine: Mine) -> None:
    mine.bury(3)
    assert mine.replays.dry_run(mine.options()).would_run == 3
    assert not mine.on_lane()
    assert mine.replays.dry_run(mine.options()).would_run == 3


def test_a_replayed_letter_is_not_replayed_again(mine: Mine) -> None:
    mine.bury(3)
    mine.replay("first-" + mine.tenant)
    assert mine.replays.define(mine.options()) is None
    everything = LetterFilter(tenants=(mine.tenant,), states=())
    dry = mine.replays.dry_run(ReplayOptions(wanted=everything))
    assert [(kind.cause, kind.count) for kind in dry.refused] == [("already-replayed", 3)]


def test_a_replay_that_died_after_writing_a_batch_writes_none_of_it_again(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much later: the lane need not recognise anything."""
    ids = mine.bury(60)
    crash_before_record(monkeypatch, 2)
    with pytest.raises(Crash):
        mine.replay(rate=40.0)  # a batch is 20 letters
    monkeypatch.undo()
    assert len(mine.ids_on_lane()) == 40
    stored = mine.replays.find(mine.tenant).progress
    assert (stored.phase, stored.replayed) == (Phase.RUNNING, 20)
    ended = mine.resume()
    assert ended.finished
    assert ended.progress.replayed == 60
    assert mine.ids_on_lane() == Counter(ids)


def test_a_replay_that_dies_again_and_again_writes_nothing_twice(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not what the first of its processes had written, which the last one has yet to meet."""
    ids = mine.bury(90)
    crash_before_record(monkeypatch, 2)
    with pytest.raises(Crash):
        mine.replay(rate=60.0)  # a batch is 30 letters
    monkeypatch.undo()
    for number in (0, 1, 2):
        crash_before_record(monkeypatch, number)
        with pytest.raises(Crash):
            mine.resume()
        monkeypatch.undo()
    assert mine.resume().progress.replayed == 90
    assert mine.ids_on_lane() == Counter(ids)


def test_a_batch_that_lies_on_the_lane_twice_runs_once(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a process that was taken for dead writes on: the lane recognises the doubles."""
    ids = mine.bury(30, key=None)
    crash_before_record(monkeypatch, 2)
    with pytest.raises(Crash):
        mine.replay(rate=30.0)  # a batch is 15 letters
    monkeypatch.undo()
    monkeypatch.setattr(replay_setting, "written_since", lambda *_: set())
    assert mine.resume().finished
    assert sorted(Counter(mine.ids_on_lane().values()).items()) == [(1, 15), (2, 15)]
    mine.work_off(ids)
    assert Counter(event.tag for event in mine.journal.events("start")) == Counter(ids)
    assert mine.replays.status(mine.tenant).states == {"succeeded": 30}


def test_a_process_that_slept_through_a_takeover_stops_and_no_job_runs_twice(mine: Mine) -> None:
    """When it wakes, it writes the batch that is next for it, and cannot record it."""
    ids = mine.bury(120)
    asleep, awake = threading.Event(), threading.Event()
    raised: list[BaseException] = []
    definition = mine.replays.define(mine.options(rate=60.0), name=mine.tenant)
    assert definition is not None

    def sleep_after_the_first_batch(_: ReplayProgress) -> None:
        asleep.set()
        awake.wait(60)

    def older() -> None:
        try:
            mine.replays.begin(definition, threading.Event(), sleep_after_the_first_batch)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=older)
    thread.start()
    assert asleep.wait(60)
    ended = Replays(mine.stage.pipeline, mine.stage.kafka).resume(mine.tenant, threading.Event())
    awake.set()
    thread.join(60)
    assert ended.progress.replayed == 120
    assert [type(error) for error in raised] == [TakenOverError]
    assert "goes on in another process" in str(raised[0])
    assert sum(mine.ids_on_lane().values()) > 120, "it wrote nothing: this test proves nothing"
    mine.work_off(ids)
    assert Counter(event.tag for event in mine.journal.events("start")) == Counter(ids)


def test_a_stopped_replay_goes_on_where_it_was(mine: Mine) -> None:
    ids = mine.bury(40)
    stop = threading.Event()
    definition = mine.replays.define(mine.options(rate=20.0), name=mine.tenant)
    assert definition is not None

    def after_the_first_batch(_: ReplayProgress) -> None:
        stop.set()

    ended = mine.replays.begin(definition, stop, after_the_first_batch)
    assert not ended.finished
    assert ended.progress.phase is Phase.STOPPED
    assert 0 < ended.progress.replayed < 40
    assert len(mine.ids_on_lane()) == ended.progress.replayed
    assert mine.resume().finished
    assert mine.ids_on_lane() == Counter(ids)
    assert mine.resume().progress.replayed == 40, "a finished one has nothing left to do"


def test_letters_that_came_after_the_beginning_are_not_looked_at(mine: Mine) -> None:
    first = mine.bury(3)
    definition = mine.replays.define(mine.options(), name=mine.tenant)
    assert definition is not None
    mine.bury(3)
    mine.replays.begin(definition, threading.Event())
    assert sorted(mine.ids_on_lane()) == sorted(first)


def test_what_is_discarded_while_a_replay_runs_is_left_out(mine: Mine) -> None:
    ids = mine.bury(30, partition=0)
    places = {
        (headers_of(m)[headers.ID] or b"").decode(): Location(m.topic() or "", 0, m.offset() or 0)
        for m in mine.stage.dead()
    }
    discarded = ids[-5:]

    def discard(progress: ReplayProgress) -> None:
        mark = LetterMark(LetterState.DISCARDED, "", 0, "bob", 1)
        topology = mine.stage.pipeline.topology
        write_marks(mine.stage.kafka, topology, [(places[each], mark) for each in discarded])

    definition = mine.replays.define(mine.options(rate=20.0), name=mine.tenant)
    assert definition is not None
    mine.replays.begin(definition, threading.Event(), discard)
    assert sorted(mine.ids_on_lane()) == sorted(ids[:-5])


def test_a_limit_bounds_a_replay_and_the_next_one_takes_the_rest(mine: Mine) -> None:
    ids = mine.bury(10)
    assert mine.replay("half-" + mine.tenant, limit=5).progress.replayed == 5
    assert mine.replay("rest-" + mine.tenant, limit=5).progress.replayed == 5
    assert mine.ids_on_lane() == Counter(ids)
    assert mine.replays.define(mine.options()) is None


def test_letters_can_go_to_another_lane(mine: Mine) -> None:
    mine.bury(2)
    mine.replay(aim=Aim(priority="high"))
    assert not mine.on_lane()
    found = mine.on_lane("default.high")
    lanes = {headers_of(m)[headers.LANE] for m in found}
    assert (len(found), lanes) == (2, {mine.stage.topic("default.high").encode()})


def test_attempts_go_on_from_their_count_and_there_is_one_at_least(mine: Mine) -> None:
    (job_id,) = mine.bury(arguments={"fail": 9})
    mine.replay(attempts=Attempts.CONTINUE)
    with mine.stage.worker(LANES):
        died = mine.stage.await_state(job_id, JobState.DEAD)
    assert (died.attempt, died.generation) == (4, 1)
    assert [event.attempt for event in mine.journal.events("start")] == [4]
    status = mine.replays.status(mine.tenant)
    assert (status.states, status.errors, status.dead) == (
        {"dead": 1},
        {"ValueError": 1},
        (job_id,),
    )


def test_a_job_that_dies_again_can_be_replayed_until_the_cap(mine: Mine) -> None:
    (job_id,) = mine.bury(arguments={"fail": 9})
    aim = Aim(max_generation=1)
    with mine.stage.worker(LANES), mine.stage.scheduler():
        mine.replay("first-" + mine.tenant, aim=aim)
        wait_until("it died again", lambda: mine.stage.state(job_id) == JobState.DEAD)
    assert mine.replays.status("first-" + mine.tenant).is_over
    assert mine.replay("second-" + mine.tenant, aim=aim).progress.refused == {"too-many-replays": 1}
    assert mine.replay("third-" + mine.tenant).progress.replayed == 1


def test_an_expired_letter_runs_if_its_expiry_is_ignored(mine: Mine) -> None:
    ids = mine.bury(expires=1_700_000_000_500)
    mine.replay(aim=Aim(ignore_expiry=True))
    mine.work_off(ids)
    assert mine.journal.count("done") == 1


def test_a_name_is_taken_once_and_must_be_known_to_be_resumed(mine: Mine) -> None:
    mine.bury(2)
    mine.replay(limit=1)
    with pytest.raises(ReplayError, match=f"already: go on with it with `--resume {mine.tenant}`"):
        mine.replay()
    with pytest.raises(NoReplayError, match="has no replay 'nobody'"):
        mine.replays.resume("nobody", threading.Event())
    with pytest.raises(ReplayError, match="cannot be named 'a/b'"):
        mine.replays.define(mine.options(), name="a/b")


def test_a_replay_is_not_resumed_when_its_lane_forgot_what_was_written(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention deleted what would tell which letters of the last batch were written."""
    mine.bury(4)
    crash_before_record(monkeypatch, 1)
    with pytest.raises(Crash):
        mine.replay()
    monkeypatch.undo()
    assert len(mine.on_lane()) == 4
    places = [TopicPartition(mine.stage.topic("default.normal"), n, -1) for n in range(2)]
    admin = make_admin(mine.stage.kafka)
    for done in admin.delete_records(places, operation_timeout=30).values():
        done.result(30)
    with pytest.raises(ReplayError, match="cannot be resumed safely"):
        mine.resume()


def test_a_lane_without_a_topic_refuses_its_letters_and_the_rest_goes_on(mine: Mine) -> None:
    stage = mine.stage
    mine.bury(2)
    mine.bury(2, lane="procs.normal", queue="procs")
    topic = stage.topic("procs.normal")
    admin = make_admin(stage.kafka)
    admin.delete_topics([topic])[topic].result(10)
    wait_until("it is gone", lambda: topic not in admin.list_topics(timeout=10).topics)
    ended = mine.replay()
    assert ended.progress.refused == {"topic-missing": 2}
    assert ended.progress.replayed == 2
    stage.apply()


def test_a_letter_that_its_lane_finds_too_large_is_refused_and_its_batch_goes_on(
    mine: Mine,
) -> None:
    ids = mine.bury(5)
    mine.bury(arguments={"tag": secrets.token_hex(20_000)})
    limit_records(mine.stage, "default.normal", 10_000)
    try:
        ended = mine.replay()
    finally:
        limit_records(mine.stage, "default.normal", None)
    assert ended.progress.refused == {"too-large": 1}
    assert mine.ids_on_lane() == Counter(ids)


def limit_records(stage: Stage, lane: str, limit: int | None) -> None:
    """Set a lane's `max.message.bytes`; None takes the broker's default."""
    operation = AlterConfigOpType.SET if limit else AlterConfigOpType.DELETE
    entry = ConfigEntry("max.message.bytes", str(limit or 0), incremental_operation=operation)
    place = ConfigResource(
        ConfigResource.Type.TOPIC, stage.topic(lane), incremental_configs=[entry]
    )
    admin = make_admin(stage.kafka)
    for done in admin.incremental_alter_configs([place]).values():
        done.result(30)


def test_progress_is_stored_whole() -> None:
    progress = ReplayProgress(
        Phase.STOPPED, 5, 7, {"expired": 2}, {("t.dlq", 1): 9}, {("t.q.high", 11): 3}
    )
    assert ReplayProgress.from_json(progress.as_json()) == progress
    assert replace(progress, replayed=8).looked_at == 10
