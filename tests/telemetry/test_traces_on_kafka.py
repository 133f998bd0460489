"""One trace from the web request to the last attempt, as a collector gets it.

Everything is a process of its own here: a service with its own tracer provider, a worker with its
children, a scheduler, the commands of an operator, and a collector that decodes OTLP. A job of each
pool fails, waits in a delay tier, fails again, dies, is replayed, and succeeds.

What can go wrong: a hop that begins a trace of its own, so that nobody finds the beginning; a span
whose parent nobody ever sends, so that the rest hangs in the air; a handler whose spans are nowhere;
a span of a child process that is lost when the child ends.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from headrace.schemas.states import JobState
from tests.support import traced
from tests.support.otlp import ROOT, Collector, Span, collector
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka

LIFE = ["POST", "submit", "process", "retry", "release", "process", "bury", "replay", "process"]


@dataclass
class Lived:
    """What three jobs left behind, one of each pool."""

    ids: dict[str, str]
    killed: str
    spans: list[Span]
    log: list[dict[str, Any]]
    letter: dict[str, Any]
    shown: dict[str, Any]

    def of(self, pool: str) -> list[Span]:
        """The spans of the trace that a pool's job belongs to, those of its child job left out."""
        (request,) = [span for span in self.spans if span.name == f"POST /{pool}"]
        return [span for span in self.spans if span.trace == request.trace]

    def main_line(self, pool: str) -> list[Span]:
        """Those of the job itself: not of its handler, its child process, its child job."""
        mine = ("", self.ids[pool])
        return [
            span
            for span in self.of(pool)
            if span.kind in ("PRODUCER", "CONSUMER") or span.name.startswith("POST")
            if span.attributes.get("messaging.message.id", "") in mine
        ]


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("traces")
    stage = Stage.build(f"t{os.urandom(4).hex()}", kafka, folder, module=traced)
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def lived(stage: Stage) -> Lived:
    with collector(stage.folder) as spans:
        return _live(stage, spans, stage.folder / "gate")


def _live(stage: Stage, spans: Collector, gate: Path) -> Lived:
    told = spans.environment | {"HEADRACE_LOG_FORMAT": "json"}
    with stage.process("worker", **told) as worker, stage.process("scheduler", **told) as scheduler:
        ids = json.loads(_run(stage, told, "tests.support.traced", stage.pipeline.name, str(gate)))
        for job_id in ids.values():
            stage.await_state(job_id, JobState.DEAD)
        letter = _command(stage, told, "dlq", "show", ids["async"])
        gate.touch()
        _command(stage, told, "dlq", "replay")
        for job_id in ids.values():
            stage.await_state(job_id, JobState.SUCCEEDED)
        shown = _command(stage, told, "jobs", "show", ids["async"])
        wait_until("the children ran", lambda: len(stage.final_states()) == 2 * len(ids))
        killed = json.loads(
            _run(
                stage,
                told,
                "headrace",
                "submit",
                traced.reference(stage.pipeline.name),
                "job.killed",
                "--json",
            )
        )["job_id"]
        stage.await_state(killed, JobState.DEAD)
        assert worker.terminate() == scheduler.terminate() == 0
        log = [json.loads(line) for line in worker.text().splitlines() if line.startswith("{")]
    return Lived(ids, killed, spans.spans(), log, letter, shown)


def _command(stage: Stage, told: dict[str, str], *words: str) -> Any:
    """Run a `headrace` command; gives its JSON."""
    reference = stage.module.reference(stage.pipeline.name)
    return json.loads(_run(stage, told, "headrace", *words[:2], reference, *words[2:], "--json"))


def _run(stage: Stage, told: dict[str, str], *words: str) -> str:
    environment = stage.environment() | told
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("pool", traced.POOLS)
def test_a_job_that_fails_dies_and_is_replayed_is_one_connected_trace(
    lived: Lived, pool: str
) -> None:
    line = lived.main_line(pool)
    assert [span.name.split()[0] for span in line] == LIFE
    for before, after in itertools.pairwise(line):
        assert after.parent == before.span, f"{after.name} is not below {before.name}"
    known = {span.span for span in lived.of(pool)}
    roots = [span.name for span in lived.of(pool) if span.parent not in known]
    assert roots == [f"POST /{pool}"]


@pytest.mark.parametrize("pool", traced.POOLS)
def test_every_attempt_is_linked_to_the_submission(lived: Lived, pool: str) -> None:
    (submit,) = [span for span in lived.main_line(pool) if span.name.startswith("submit")]
    attempts = [span for span in lived.main_line(pool) if span.kind == "CONSUMER"]
    assert [span.links for span in attempts] == [((submit.trace, submit.span),)] * 3
    assert [span.attributes["headrace.job.state"] for span in attempts] == [
        "retrying",
        "dead",
        "succeeded",
    ]
    assert [span.error for span in attempts] == ["ValueError: the gate is closed"] * 2 + [""]


@pytest.mark.parametrize("pool", ["async", "thread"])
def test_a_handler_is_in_the_span_of_its_attempt(lived: Lived, pool: str) -> None:
    attempts = [span for span in lived.main_line(pool) if span.kind == "CONSUMER"]
    works = [span for span in lived.of(pool) if span.name == f"work job.{pool}"]
    assert [span.parent for span in works] == [span.span for span in attempts]
    assert [span.attributes["of.the.handler"] for span in attempts] == [lived.ids[pool]] * 3
    for attempt, work in zip(attempts, works, strict=True):
        assert attempt.start <= work.start <= work.end <= attempt.end


def test_a_handler_in_a_child_process_is_in_a_span_below_its_attempt(lived: Lived) -> None:
    attempts = [span for span in lived.main_line("process") if span.kind == "CONSUMER"]
    runs = [span for span in lived.of("process") if span.name == "run job.process"]
    works = [span for span in lived.of("process") if span.name == "work job.process"]
    assert [span.parent for span in runs] == [span.span for span in attempts]
    assert [span.parent for span in works] == [span.span for span in runs]
    assert [span.attributes["of.the.handler"] for span in runs] == [lived.ids["process"]] * 3


@pytest.mark.parametrize("pool", traced.POOLS)
def test_a_job_that_a_handler_submits_is_in_its_trace(lived: Lived, pool: str) -> None:
    (work, *_) = [span for span in lived.of(pool) if span.name == f"work job.{pool}"][-1:]
    children = [
        span for span in lived.of(pool) if span.attributes.get("headrace.job.type") == "child"
    ]
    assert [span.name.split()[0] for span in children] == ["submit", "process"]
    submit, process = children
    assert (submit.parent, process.parent) == (work.span, submit.span)


def test_each_process_names_its_service(lived: Lived) -> None:
    (release,) = {span.service for span in lived.spans if span.name.startswith("release")}
    name = release.removesuffix("-scheduler")
    services = {span.name.split()[0]: span.service for span in lived.main_line("async")}
    assert services == {
        "POST": "web",
        "submit": "web",
        "process": f"{name}-worker",
        "retry": f"{name}-worker",
        "bury": f"{name}-worker",
        "release": f"{name}-scheduler",
        "replay": f"{name}-replay",
    }


@pytest.mark.parametrize("pool", traced.POOLS)
def test_every_log_line_of_a_job_has_its_trace_and_span(lived: Lived, pool: str) -> None:
    job_id = lived.ids[pool]
    known = {span.span for span in lived.of(pool)}
    trace_id = lived.of(pool)[0].trace
    mine = [line for line in lived.log if job_id in json.dumps(line)]
    events = {line["event"] for line in mine}
    assert {f"working on {job_id}", "working, too", "attempt failed", "job is dead"} <= events
    for line in mine:
        assert line["trace"] == trace_id, line
        assert line["span"] in known, line


def test_an_attempt_whose_process_was_killed_has_a_span_that_says_so(lived: Lived) -> None:
    mine = [
        span for span in lived.spans if span.attributes.get("messaging.message.id") == lived.killed
    ]
    submit, process, bury = mine
    assert (submit.parent, process.parent, bury.parent) == ("", submit.span, process.span)
    assert process.error == "ProcessDied: process died: SIGKILL"
    assert submit.service.endswith("-submit")


def test_a_span_tells_where_the_job_lies(lived: Lived) -> None:
    by_name = {span.name.split()[0]: span for span in lived.main_line("async")}
    name = by_name["process"].service.removesuffix("-worker")
    for what in ("submit", "release", "process"):
        told = by_name[what].attributes
        assert told["messaging.destination.name"] == f"{name}.default.normal"
        assert int(told["messaging.destination.partition.id"]) in (0, 1)
        assert int(told["messaging.kafka.offset"]) >= 0


def test_a_service_that_does_not_trace_jobs_carries_its_caller_s_context(stage: Stage) -> None:
    with stage.producer() as producer:
        with TracerProvider().get_tracer("web").start_as_current_span("POST") as caller:
            job_id = producer.submit("child").job_id
        outside = producer.submit("child").job_id
    found = {headers_of(m)["ce_id"]: headers_of(m) for m in stage.records("default.normal")}
    context = caller.get_span_context()
    expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-".encode()
    carried = found[job_id.encode()]
    for name in ("traceparent", "ce_traceparent"):
        assert (carried[name] or b"").startswith(expected)
    assert "traceparent" not in found[outside.encode()]


def test_an_operator_sees_which_trace_a_job_and_a_letter_belong_to(lived: Lived) -> None:
    trace_id = lived.of("async")[0].trace
    assert lived.letter["trace_id"] == trace_id
    assert lived.shown["trace_id"] == trace_id
