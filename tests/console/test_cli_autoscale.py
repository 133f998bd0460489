"""`headrace up --autoscale`: real workers that come and go on a real Kafka.

What can go wrong: a worker that goes takes jobs along, which then run twice or never; or it goes
while its partitions are still moving, and nobody notices that they belong to nobody.
"""

import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from headrace.console.commands import up_autoscale
from headrace.console.commands.up import up
from headrace.pipeline.settings import KafkaSettings
from headrace.producers import Producer
from tests.console.conftest import ROOT, SHOP, CommandLine, eventually
from tests.console.test_cli_worker import lines

QUICK = "tests.sample_pipelines.quick_scaling:quick"


GATED = "tests.sample_pipelines.gated:gated"


class Gate:
    """Jobs that end when it opens."""

    def __init__(self, folder: Path, name: str, jobs: int) -> None:
        self.path = folder / name
        self.marks = [folder / f"{name}-{number}" for number in range(jobs)]

    def submit(self, kafka: str, name: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GATED_NAME", name)
            gated: Any = runpy.run_path(str(ROOT / "tests/sample_pipelines/gated.py"))["gated"]
        with Producer(gated, kafka=KafkaSettings(bootstrap_servers=kafka)) as producer:
            for mark in self.marks:
                producer.submit("pass", {"gate": str(self.path), "mark": str(mark)})

    def said(self, what: str) -> int:
        return sum(mark.exists() and what in lines(mark) for mark in self.marks)


@pytest.mark.timeout(240)
def test_workers_come_with_a_burst_and_go_again_and_every_job_runs_once(
    on_kafka: CommandLine, kafka: str, unique_name: str, tmp_path: Path
) -> None:
    on_kafka.environment |= {"GATED_NAME": unique_name}
    command = on_kafka.start(
        "up", GATED, "--autoscale", "1..3", "--scale-strategy", QUICK, "--concurrency", "4",
        "--jobs-per-second", "5", "--scale-wait", "1s", "--no-projector", "--no-statistics",
    )  # fmt: skip
    command.says("worker started")
    burst, late = Gate(tmp_path, "burst", 40), Gate(tmp_path, "late", 8)
    burst.submit(kafka, unique_name)
    command.says("worker started", times=3)
    burst.path.touch()
    eventually("the burst is done", lambda: burst.said("ended") == 40)
    late.submit(kafka, unique_name)
    # A worker is told to go while these run: what it has of them it ends first
    command.says("before=3 now=2")
    late.path.touch()
    eventually("the late ones are done", lambda: late.said("ended") == 8)
    command.says("ended='exit code 0'", times=2)
    command.signal()
    assert command.ends() == 0
    ran = Counter(tuple(lines(mark)) for mark in (*burst.marks, *late.marks))
    assert ran == {("began", "ended"): 48}
    assert "before=2 now=1" in command.text()


@pytest.mark.parametrize("text", ["10", "0..3", "5..2", "1..513", "a..b", "2...4", ""])
def test_a_span_that_is_none_is_refused_with_how_one_looks(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"such as 2\.\.10"):
        up_autoscale.span(text)
    assert up_autoscale.span("2..10") == (2, 10)


def run_up(*words: str) -> Any:
    app = typer.Typer()
    app.command()(up)
    return CliRunner().invoke(app, [SHOP, *words])


def test_processes_and_autoscale_exclude_each_other() -> None:
    done = run_up("--processes", "2", "--autoscale", "1..2")
    assert "both say how many workers" in str(done.exception)


def test_a_strategy_that_is_not_there_is_refused_before_anything_is_started() -> None:
    done = run_up("--autoscale", "1..2", "--scale-strategy", "quick")
    assert "there is no strategy 'quick'" in str(done.exception)
