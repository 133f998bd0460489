"""The adapter contract, with the bare loop on a real Kafka: filled, drained, checked, removed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.field import stage as stage_module
from benchmarks.field.catalog import SYSTEMS
from benchmarks.field.contract import ServiceKind, Setting, Submission
from benchmarks.field.headrace_system import BARE
from benchmarks.field.services import Service, kafka_at
from benchmarks.field.stage import Wish, staged
from benchmarks.field.watching import Tree
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.settings import KafkaSettings, load

WISH = Wish(Setting(), partitions=2)
JOBS = 300
LOSES_AND_DOUBLES = """
from benchmarks.field import work
perform = work.perform
def broken(kind, number):
    for _ in range({7: 0, 9: 3}.get(number, 1)):
        perform(kind, number)
work.perform = broken
from benchmarks.field.apps import bare_app
bare_app.main()
"""


@pytest.fixture
def service(kafka: str, tmp_path: Path) -> Service:
    return kafka_at(kafka, os.getpid(), tmp_path, "the tests' own")


@pytest.fixture
def topics(kafka: str) -> Iterator[list[str]]:
    """Names the topics of runs that are left when the test is over."""
    left: list[str] = []
    yield left
    admin = make_admin(load(KafkaSettings, bootstrap_servers=kafka))
    deadline = time.monotonic() + 30
    while set(left) & set(admin.list_topics(timeout=20).topics):
        assert time.monotonic() < deadline, f"topics of {left} are still there"


@pytest.mark.kafka
def test_a_run_is_filled_drained_checked_and_removed(
    service: Service, tmp_path: Path, topics: list[str]
) -> None:
    with staged(BARE, service, tmp_path, WISH) as stage:
        topics.append(stage.run.name)
        told = stage.submit(Submission("stream", "noop", JOBS, warm=20))
        figures = stage.drain(stage.submitted)
        verdict = stage.verdict()
    assert (told["submitted"], told["jobs"], stage.submitted) == (JOBS, JOBS - 20, JOBS)
    assert figures["complete"]
    assert figures["per_s"] > 0
    assert figures["cpu_s_per_1000"] >= 0
    assert figures["peak_rss_mb"] > 10
    assert (verdict.lost, verdict.doubled, verdict.foreign) == (0, 0, 0)


@pytest.mark.kafka
def test_a_worker_that_loses_one_job_and_runs_another_thrice_is_found_out(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "_STALL", 1.0)
    broken = replace(BARE, commands=lambda run: [["python", "-c", LOSES_AND_DOUBLES]])
    with staged(broken, service, tmp_path, WISH) as stage:
        stage.submit(Submission("batch", "noop", JOBS))
        figures = stage.drain(JOBS)
        verdict = stage.verdict()
    assert not figures["complete"]
    assert (verdict.lost, verdict.doubled) == (1, 2)


@pytest.mark.kafka
def test_workers_that_run_nothing_are_told_with_what_they_said(
    service: Service, tmp_path: Path
) -> None:
    dumb = replace(BARE, commands=lambda run: [["python", "-c", "raise SystemExit('no luck')"]])
    with staged(dumb, service, tmp_path, WISH) as stage:
        stage.submit(Submission("single", "noop", 1))
        with pytest.raises(RuntimeError, match="no luck"):
            stage.drain(1)


def test_every_worker_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    tree = Tree([subprocess.Popen([sys.executable, "-c", code])])
    while len(tree.processes()) < 2:
        pass
    everything = tree.processes()
    tree.stop()
    assert not [each for each in everything if each.is_running() and each.status() != "zombie"]


def test_each_system_says_what_it_promises_and_where_its_settings_come_from() -> None:
    names = [system.name for system in SYSTEMS]
    assert len(set(names)) == len(names)
    for system in SYSTEMS:
        assert system.durability
        assert system.source
        assert system.sweep
        in_memory = system.service is ServiceKind.REDIS_MEMORY
        assert in_memory == system.name.endswith("-memory")
