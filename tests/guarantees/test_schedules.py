"""Schedules on a real Kafka.

What can go wrong: two schedulers fire twice, or, when one dies, nobody does for a while and those
fires are lost; a policy is for the paper only; a paused schedule fires; an operator's schedule needs
a restart to be seen.
"""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.consumers.scheduler import Scheduler
from headrace.consumers.schedules.figures import ScheduleFigures
from headrace.consumers.schedules.term import Term, TermOptions
from headrace.pipeline import Misfire, Overlap, Pipeline, Schedule
from headrace.pipeline.compacted import read_latest
from headrace.pipeline.schedules.records import ScheduleState, described
from headrace.pipeline.schedules.schedule import NamedJob
from headrace.pipeline.schedules.timing import At, Every
from headrace.pipeline.settings import ProducerSettings, load
from headrace.processors.errors import NotFoundError
from headrace.processors.schedules import Schedules
from headrace.schemas import headers
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support import scheduled
from tests.support.scheduled import SECOND, journal_of
from tests.support.stage import RunningProcess, Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
Declare = Callable[[Pipeline], object]


@pytest.fixture
def build(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes a stage with schedules."""
    made: list[Stage] = []

    def build(declare: Declare = scheduled.every_second) -> Stage:
        stage = new_stage(kafka, tmp_path, module=scheduled, schedules=declare)
        made.append(stage)
        return stage

    yield build
    for stage in made:
        stage.close()
        journal = journal_of(stage.pipeline.name)
        for path in (Path(journal.path), journal.gate):
            path.unlink(missing_ok=True)


def fires_of(stage: Stage, name: str) -> list[tuple[int, str]]:
    """The jobs of a schedule that lie on the lane: each fire's time and the job's id."""
    read = [headers_of(record) for record in stage.records("default.normal")]
    mine = [each for each in read if each.get(headers.SCHEDULE) == name.encode()]
    return [
        (
            headers.parse_time((each[headers.TIME] or b"").decode()),
            (each[headers.ID] or b"").decode(),
        )
        for each in mine
    ]


def fired(stage: Stage, name: str) -> dict[int, str]:
    """The fires of a schedule: the job's id by the fire's time."""
    return dict(fires_of(stage, name))


def fired_again(stage: Stage, name: str) -> list[int]:
    """The times of fires that lie on the lane more than once."""
    counted = Counter(at for at, _ in fires_of(stage, name))
    return [at for at, count in counted.items() if count > 1]


def test_each_fire_runs_once_though_schedulers_sleep_and_die(build: Callable[..., Stage]) -> None:
    stage = build()
    journal = journal_of(stage.pipeline.name)
    with (
        stage.worker(["default.normal"]),
        stage.process("scheduler") as first,
        stage.process("scheduler") as second,
    ):
        wait_until("some fired", lambda: journal.count("start") >= 2)
        asleep = in_charge(stage, first, second)
        awake = second if asleep is first else first
        slept = time.time() * 1000
        asleep.process.send_signal(signal.SIGSTOP)
        wait_until("the other fires", lambda: in_charge(stage, first, second) is awake)
        asleep.process.send_signal(signal.SIGCONT)
        asleep.says("another process has them")
        # Of what its successor has fired it fires nothing but what was on its way.
        assert all(fire <= slept for fire in fired_again(stage, "every-second"))
        killed = in_charge(stage, first, second)
        survivor = second if killed is first else first
        killed.kill()
        wait_until("the other fires", lambda: in_charge(stage, first, second) is survivor)
        assert survivor.terminate() == 0
        stage.drained()
    fires = fired(stage, "every-second")
    times = sorted(fires)
    assert times == list(range(times[0], times[-1] + 1, 1000))
    starts = [event.tag for event in journal.events("start")]
    assert sorted(starts) == sorted(fires.values())


def in_charge(stage: Stage, *schedulers: RunningProcess) -> RunningProcess:
    """The process that fired last."""
    name = states(stage, "every-second")[-1].by
    (found,) = [each for each in schedulers if f"-{each.process.pid}-" in name]
    return found


def declare_misfires(pipeline: Pipeline) -> None:
    """One for each policy; what is later than a second was missed."""
    policies = {
        "skip": Misfire.skip(grace=SECOND),
        "once": Misfire.run_once(grace=SECOND),
        "two": Misfire.catch_up(2, grace=SECOND),
    }
    for name, misfire in policies.items():
        work = pipeline.job_type("tick").job(tag=name)
        pipeline.schedule(name, work, every=SECOND, misfire=misfire)


def test_after_a_while_without_scheduler_each_misfire_policy_does_as_it_says(
    build: Callable[..., Stage],
) -> None:
    stage = build(declare_misfires)
    names = ("skip", "once", "two")
    with stage.scheduler():
        wait_until("each has fired", lambda: all(fired(stage, name) for name in names))
    before = {name: max(fired(stage, name)) for name in names}
    back = time.time() + 4
    wait_until("some seconds are missed", lambda: time.time() > back)
    with stage.scheduler():
        wait_until(
            "each goes on", lambda: all(max(fired(stage, n)) > back * 1000 + 1000 for n in names)
        )
    for name, count in (("skip", 0), ("once", 1), ("two", 2)):
        # The policy is carried out at a moment that its state tells: between two fires.
        handled = [state.handled for state in states(stage, name)]
        decided = next(at for at in handled if at > before[name] and at % 1000)
        missed = [at for at in sorted(fired(stage, name)) if before[name] < at <= decided]
        last = decided - decided % 1000
        assert missed == [last - 1000 * n for n in reversed(range(count))], name


def states(stage: Stage, name: str) -> list[ScheduleState]:
    """Every state that a schedule ever had."""
    found = stage.records("schedules")
    mine = [each.value() for each in found if each.key() == f"state/{name}".encode()]
    return [ScheduleState(**json.loads(value)) for value in mine if value is not None]


def test_a_schedule_that_the_code_declares_no_more_stops(build: Callable[..., Stage]) -> None:
    stage = build()
    with stage.scheduler():
        wait_until("it fires", lambda: fired(stage, "every-second"))
    stage.pipeline = scheduled.make(stage.pipeline.name, lambda _: None)
    with stage.scheduler():
        wait_until("it is told", lambda: not declared(stage))
    last = max(fired(stage, "every-second"))
    with stage.scheduler() as scheduler:
        wait_until("some seconds pass", lambda: time.time() * 1000 > last + 2500)
        assert scheduler.figures.schedules.in_charge == 0
    assert max(fired(stage, "every-second")) == last


def declared(stage: Stage) -> list[bytes]:
    topic = stage.topic("schedules")
    return [key for key in read_latest(stage.kafka, [topic])[topic] if key.startswith(b"declared/")]


def named(name: str, job_type: str = "tick", **more: Any) -> Schedule:
    return Schedule(name, Every(SECOND), NamedJob(job_type, {"tag": name}), **more)


def test_an_operators_schedule_fires_pauses_resumes_and_ends_without_a_restart(
    build: Callable[..., Stage],
) -> None:
    stage = build(lambda _: None)
    desk = Schedules(stage.pipeline, stage.kafka)
    with stage.scheduler() as scheduler:
        desk.add(named("added", misfire=Misfire.catch_up(100)), "ada")
        # What a newer release added: that it cannot fire here is told long before it should.
        strange = Schedule(
            "strange", At(datetime(2199, 1, 1, tzinfo=UTC)), NamedJob("new.type", {})
        )
        stage.send("schedules", json.dumps(described(strange)), b"managed/strange")
        failing = scheduler.figures.schedules.failing
        wait_until("it is told", lambda: "new.type" in failing.get("strange", ""))
        wait_until("it fires", lambda: len(fired(stage, "added")) >= 2)
        assert desk.find("added").standing == "active"
        paused = desk.pause("added", "ada").entry.pause
        assert paused is not None
        wait_until("seconds pass", lambda: time.time() * 1000 > paused.since + 2500)
        assert max(fired(stage, "added")) < paused.since
        resumed = desk.resume("added", "ada").entry.pause
        until = (resumed.until if resumed else None) or 0
        assert until > paused.since
        wait_until("it fires again", lambda: max(fired(stage, "added")) > until)
        desk.remove("added")
        ended = time.time() * 1000
        wait_until("seconds pass", lambda: time.time() * 1000 > ended + 1500)
        assert max(fired(stage, "added")) <= ended
    assert not [fire for fire in fired(stage, "added") if paused.since <= fire <= until]
    with pytest.raises(NotFoundError, match="no schedule 'added'"):
        desk.find("added")


def test_a_fire_is_skipped_while_the_job_before_is_not_final(build: Callable[..., Stage]) -> None:
    stage = build(lambda p: overlapping(p, Overlap.SKIP))
    journal = journal_of(stage.pipeline.name)
    with stage.worker(["default.normal"]):
        with stage.scheduler() as scheduler:
            wait_until("fires are skipped", lambda: skipped(scheduler) >= 2)
            wait_until("the other one fires", lambda: len(fired(stage, "quick")) >= 3)
        first, *others = fired(stage, "slow")
        assert others == []
        # Another scheduler knows it as well, from the topics alone.
        with stage.scheduler() as scheduler:
            wait_until("fires are skipped", lambda: skipped(scheduler) >= 1)
            assert list(fired(stage, "slow")) == [first]
            journal.gate.touch()
            wait_until("the next one fires", lambda: len(fired(stage, "slow")) >= 2)


def skipped(scheduler: Scheduler) -> int:
    return scheduler.figures.schedules.overlapped["slow"]


def overlapping(pipeline: Pipeline, overlap: Overlap) -> None:
    slow = pipeline.job_type("slow").job(tag="slow")
    pipeline.schedule("slow", slow, every=SECOND, overlap=overlap)
    # Another one with the same policy, whose jobs end at once.
    quick = pipeline.job_type("tick").job(tag="quick")
    pipeline.schedule("quick", quick, every=SECOND, overlap=overlap)


def test_the_old_job_is_cancelled_when_the_next_one_fires(build: Callable[..., Stage]) -> None:
    stage = build(lambda p: overlapping(p, Overlap.CANCEL_OLD))
    with stage.worker(["default.normal"]), stage.scheduler():
        wait_until("a second one has fired", lambda: len(fired(stage, "slow")) >= 2)
        fires = fired(stage, "slow")
        stage.await_state(fires[min(fires)], JobState.CANCELLED)
        journal_of(stage.pipeline.name).gate.touch()


def test_a_fire_by_hand_and_a_repeated_backfill_run_each_job_once(
    build: Callable[..., Stage],
) -> None:
    stage = build(lambda p: p.schedule("daily", p.job_type("tick").job(tag="d"), cron="@daily"))
    desk, journal = Schedules(stage.pipeline, stage.kafka), journal_of(stage.pipeline.name)
    end = datetime(2026, 3, 5, 12, tzinfo=UTC)
    with stage.worker(["default.normal"]):
        by_hand = desk.run("daily")
        plan = desk.plan_backfill("daily", end - timedelta(days=4), end)
        assert desk.backfill(plan) == desk.backfill(plan) == 4
        wait_until("all are settled", lambda: len(stage.final_states()) == 5)
        stage.drained()
        wait_until("doubles are told", lambda: doubles(stage) == 4)
        assert desk.backfill(plan, again="new rates") == 4
        wait_until("they ran again", lambda: journal.count("start") == 9)
    found = fired(stage, "daily")
    filled = {fire: job_id for fire, job_id in found.items() if job_id != by_hand}
    assert sorted(filled) == [ms(end - timedelta(days=n, hours=12)) for n in (3, 2, 1, 0)]
    assert Counter(event.tag for event in journal.events("start")).most_common(1)[0][1] == 1


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def doubles(stage: Stage) -> int:
    return sum(ends.count("duplicate") for ends in stage.final_states().values())


def test_two_that_both_think_they_are_in_charge_write_the_same_and_it_runs_once(
    build: Callable[..., Stage],
) -> None:
    """For moments that happens: one sleeps, loses its partition, and wakes up."""
    stage = build()
    journal = journal_of(stage.pipeline.name)
    stopping = threading.Event()
    with stage.worker(["default.normal"]), ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(serve, stage, stopping) for _ in range(2)]
        try:
            wait_until("some fired", lambda: journal.count("start") >= 4)
        finally:
            stopping.set()
        for end in ends:
            end.result()
        stage.drained()
    written: dict[str, set[Any]] = {}
    for record in stage.records("default.normal"):
        read = headers_of(record)
        same = (record.partition(), record.key(), record.value(), tuple(sorted(read.items())))
        written.setdefault((read[headers.ID] or b"").decode(), set()).add(same)
    assert all(len(each) == 1 for each in written.values())
    times = sorted(fired(stage, "every-second"))
    assert times == list(range(times[0], times[-1] + 1, 1000))
    starts = Counter(event.tag for event in journal.events("start"))
    assert starts == dict.fromkeys(fired(stage, "every-second").values(), 1)


def serve(stage: Stage, stopping: threading.Event) -> None:
    holding = TermOptions(
        stage.pipeline, stage.kafka, load(ProducerSettings), "one", lambda: not stopping.is_set()
    )
    term = Term(holding, ScheduleFigures())
    try:
        term.run()
    finally:
        term.close()
