"""Workers on one machine: the same rules, whom they start, and whom they let go."""

from dataclasses import dataclass, field

import pytest

from headrace.console.process.autoscaling import Autoscaling
from headrace.consumers.supervisor import Program
from headrace.deploy.scaling.local import LocalScaler, Work
from headrace.deploy.scaling.strategies import LOCAL, STRATEGIES
from headrace.deploy.work_reading import Seen, seen_in
from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.topics import Role
from headrace.processors.snapshot import CommitPoint, LogSpan, Snapshot
from headrace.processors.workers import SeenProcess, Standing, WorkerView
from headrace.schemas.heartbeats import Heartbeat, ServedPartition, ServedTopic


def scaler(least: int = 2, most: int = 10, strategy: str = "local") -> LocalScaler:
    chosen = LOCAL if strategy == "local" else STRATEGIES[strategy]
    return LocalScaler(chosen, least, most, threshold=100, slots=30)


def counts(found: LocalScaler, works: list[Work | None], current: int = 2) -> list[int]:
    given = []
    for second, work in enumerate(works):
        current = found.decide(second, current, work).replicas
        given.append(current)
    return given


def test_a_burst_is_met_with_all_workers_in_two_decisions() -> None:
    assert counts(scaler(), [Work(5000, 0)] * 3) == [6, 10, 10]


def test_a_cluster_strategy_takes_its_own_time() -> None:
    assert counts(scaler(strategy="aggressive"), [Work(5000, 0)] * 17)[::8] == [6, 6, 10]


def test_what_runs_keeps_its_workers_though_nothing_is_ready() -> None:
    assert counts(scaler(), [Work(0, 150)] * 80, current=10)[-1] == 5
    assert counts(scaler(), [Work(0, 0)] * 80, current=10)[-1] == 2


def test_it_goes_down_a_worker_at_a_time_when_half_a_minute_needed_none() -> None:
    found = counts(scaler(), [Work(900, 0), *[Work(0, 0)] * 40], current=9)
    assert found[:30] == [9] * 30
    assert found[30:] == [8, 8, 8, 8, 8, 7, 7, 7, 7, 7, 6]


def test_what_is_not_known_changes_nothing() -> None:
    assert counts(scaler(), [None] * 60, current=7) == [7] * 60


PROGRAMS = [Program(f"worker {number}", ("true",)) for number in range(4)]


@dataclass
class FakeCrew:
    """Starts at once; ends when the test says so."""

    living: dict[str, int] = field(default_factory=dict)
    retired: list[str] = field(default_factory=list)
    ending: bool = False

    def add(self, program: Program) -> bool:
        if not self.ending:
            self.living[program.name] = 100 + int(program.name.split()[1])
        return not self.ending

    def retire(self, name: str) -> None:
        self.retired.append(name)

    def pids(self) -> dict[str, int]:
        return dict(self.living)


class Machine:
    def __init__(self, running: int = 1) -> None:
        self.crew = FakeCrew({f"worker {n}": 100 + n for n in range(running)})
        self.now = 0.0
        self.seen: Seen | None = Seen(Work(0, 0), {})
        self.scaling = Autoscaling(
            self.crew, PROGRAMS, running, scaler(1, 4), self.look, lambda: self.now
        )

    def look(self) -> Seen:
        if self.seen is None:
            raise KafkaUnavailableError("nobody answers")
        return self.seen

    def turns(self, count: int, seen: Seen | None) -> None:
        self.seen = seen
        for _ in range(count):
            self.now += 1
            self.scaling.turn()


def test_workers_are_started_in_their_order_up_to_the_most() -> None:
    machine = Machine()
    machine.turns(5, Seen(Work(10_000, 0), {}))
    assert list(machine.crew.living) == ["worker 0", "worker 1", "worker 2", "worker 3"]


def test_the_one_that_runs_least_goes_and_of_equals_the_last() -> None:
    machine = Machine(running=4)
    busy = {100: 0, 101: 5, 102: 0, 103: 9}
    machine.turns(60, Seen(Work(0, 14), busy))
    assert machine.crew.retired == ["worker 2", "worker 0", "worker 1"]


def test_one_that_has_not_ended_yet_is_not_started_again() -> None:
    machine = Machine(running=4)
    machine.turns(36, Seen(Work(100, 0), {}))
    assert machine.crew.retired == ["worker 3", "worker 2"]
    del machine.crew.living["worker 3"]
    started = dict(machine.crew.living)
    machine.turns(1, Seen(Work(10_000, 0), {}))
    assert machine.crew.living.keys() - started.keys() == {"worker 3"}
    del machine.crew.living["worker 2"]
    machine.turns(1, Seen(Work(10_000, 0), {}))
    assert "worker 2" in machine.crew.living


def test_without_an_answer_of_kafka_whoever_works_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = Machine(running=3)
    machine.turns(60, None)
    assert (len(machine.crew.living), machine.crew.retired) == (3, [])
    assert capsys.readouterr().out.count("what there is to do is not known") == 2


def test_nobody_counts_who_could_not_be_started_any_more() -> None:
    machine = Machine()
    machine.crew.ending = True
    machine.turns(3, Seen(Work(10_000, 0), {}))
    machine.crew.ending = False
    machine.turns(1, Seen(Work(10_000, 0), {}))
    assert "worker 1" in machine.crew.living


def test_ready_is_what_is_neither_finished_nor_running_over_all_lanes() -> None:
    lane, other = "shop.default.high", "shop.default.low"
    spans = {(lane, 0): LogSpan(lane, 0, 0, 100), (other, 0): LogSpan(other, 0, 30, 60)}
    commits = {(lane, 0): CommitPoint(40, (range(50, 60),))}
    parts = (ServedPartition(0, 7, 1),)
    beat = Heartbeat("w", "worker", "1", "host", 4711, 0, 0, 1000, (ServedTopic(lane, parts),), ())
    view = WorkerView("shop", 0, (SeenProcess(beat, 0, Standing.ALIVE),), {lane: 1, other: 1})
    roles = {lane: Role.LANE, other: Role.LANE}
    found = seen_in(Snapshot(roles, spans, commits), view)
    assert found == Seen(Work(ready=(100 - 40 - 10 - 7) + 30, running=7), {4711: 7})
