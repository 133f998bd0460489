"""`headrace workers`: what it shows of heartbeats, and how scripts ask it."""

import json
import sys
import time
import types
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from headrace.console.main import app
from headrace.pipeline import Pipeline, Queue
from headrace.processors import workers
from headrace.processors.workers import SeenProcess, Standing, WorkerView
from headrace.schemas.heartbeats import (
    Heartbeat,
    RunningJob,
    ServedPartition,
    ServedTopic,
    SlotUse,
)

SHOP = Pipeline("shop", queues=[Queue("default")])
LANE = "shop.default.high"
NOW = time.time_ns() // 1_000_000


def process(name: str, standing: Standing, ago: int, *partitions: ServedPartition) -> SeenProcess:
    beat = Heartbeat(name, "worker", "1", "host", 1, NOW - 3_600_000, NOW - ago, 5_000)
    job = RunningJob("job-1", "email.send", LANE, 0, 41, 2, NOW - 120_000)
    served = (ServedTopic(LANE, partitions),)
    beat = beat._replace(served=served, slots=(SlotUse("default", 8, 1),), running=(job,))
    return SeenProcess(beat, NOW - ago, standing)


class FakeReader:
    """Gives one view, whoever reads."""

    found = WorkerView("shop", NOW, (), {LANE: 0}, (LANE,))

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read(self) -> WorkerView:
        return self.found


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> type[FakeReader]:
    module = types.ModuleType("workers_of_a_shop")
    module.__dict__["shop"] = SHOP
    monkeypatch.setitem(sys.modules, "workers_of_a_shop", module)
    monkeypatch.setenv("HEADRACE_PIPELINE", "workers_of_a_shop:shop")
    monkeypatch.setattr(workers, "WorkerReader", FakeReader)
    some = (
        process("lives", Standing.ALIVE, 2_000, *map(ServedPartition, (0, 1, 3))),
        process("died", Standing.GONE, 60_000, ServedPartition(2)),
        process("died-long-ago", Standing.GONE, 7_200_000),
        process("left", Standing.STOPPED, 60_000),
    )
    monkeypatch.setattr(FakeReader, "found", WorkerView("shop", NOW, some, {LANE: 4}, (LANE,)))
    return FakeReader


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["workers", *words], catch_exceptions=False)
    return result.exit_code, result.stdout


def test_those_alive_and_those_gone_lately_are_shown_with_what_they_serve() -> None:
    code, told = run()
    assert code == 0
    (alive,) = [line for line in told.splitlines() if line.startswith("lives")]
    assert "default.high 0-1 3" in alive
    assert "1/8" in alive
    (gone,) = [line for line in told.splitlines() if line.startswith("died")]
    assert "gone" in gone
    assert "1m ago" in gone
    assert "left" not in told
    assert {"died-long-ago", "left"} <= {
        line.split()[0] for line in run("--all")[1].splitlines() if line
    }


def test_a_partition_that_nobody_serves_is_named_with_who_had_it() -> None:
    (line,) = [each for each in run()[1].splitlines() if each.startswith(LANE)]
    assert line.split("  ")[0] == LANE
    assert "died (gone)" in line
    assert run("--check")[0] == 3


def test_with_everything_served_the_check_is_silent(shown: type[FakeReader]) -> None:
    whole = process("lives", Standing.ALIVE, 0, *map(ServedPartition, range(4)))
    shown.found = WorkerView("shop", NOW, (whole,), {LANE: 4}, (LANE,))
    code, told = run("--check")
    assert code == 0
    assert "nobody" not in told


def test_jobs_are_shown_with_how_long_they_run() -> None:
    (line,) = [each for each in run("--jobs")[1].splitlines() if each.startswith("job-1")]
    assert "email.send" in line
    assert "1m 58s" in line
    assert "default.high 0@41" in line


def test_programs_get_json() -> None:
    code, told = run("--json")
    found = json.loads(told)
    assert code == 0
    assert [each["standing"] for each in found["processes"]] == ["alive", "gone", "gone", "stopped"]
    assert [each["partition"] for each in found["unserved"]] == [2]
