"""The boards and alerts against a real Prometheus that scrapes a pipeline at work.

What can go wrong: an expression that does not parse, that names a metric or label that there is not,
that gives nothing, or gives another number than the truth; an alert that cannot fire on real series, or
that rings while all is well.
"""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from headrace.deploy.observability.alert import render_rules
from headrace.deploy.observability.alerts import GROUPS
from headrace.deploy.observability.boards import BOARDS
from headrace.deploy.observability.files import rendered
from headrace.pipeline.settings import HttpSettings
from headrace.pipeline.telemetry import http
from headrace.pipeline.telemetry.health import Health
from headrace.pipeline.telemetry.metric_list import ALL_METRICS
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.producers import Producer
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.prometheus import Prometheus, running
from tests.support.stage import Stage, wait_until

ROOT = Path(__file__).parents[2]
DEAD = 12
"""More than the alert tolerates."""
OFTEN = {"HEADRACE_EXPORTER_INTERVAL": "1s"}


def expressions(board: str) -> list[str]:
    panels = [
        panel
        for row in json.loads(board)["panels"]
        for panel in (row.get("panels") or [row])
        if panel["type"] != "row"
    ]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_the_committed_files_are_as_rendered() -> None:
    for path, text in rendered().items():
        file = ROOT / "deploy" / path
        assert file.read_text() == text, f"{file} differs: run `headrace deploy boards`"


def test_boards_have_names_of_their_own_and_explain_each_panel() -> None:
    assert len({board.name for board in BOARDS}) == len(BOARDS)
    for board in BOARDS:
        for _, panels in board.rows:
            assert all(panel.about.endswith(".") and panel.queries for panel in panels)


def test_boards_ask_for_metrics_and_labels_that_there_are() -> None:
    labels = {
        f"{spec.name}{ending}": {label.name for label in spec.labels} | {"instance", "le"}
        for spec in ALL_METRICS
        for ending in ("", "_bucket")
    }
    for board in BOARDS:
        for expression in expressions(board.render()):
            for name, matchers in re.findall(r"(headrace_\w+)(?:{([^}]*)})?", expression):
                assert name in labels, expression
                assert set(re.findall(r"(\w+)=~?\"", matchers)) <= labels[name], expression


# -- against a real Prometheus -----------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def producing(stage: Stage) -> Iterator[tuple[Producer, str]]:
    """A service that publishes, and shows its metrics on a port."""
    metrics = Metrics(role="service")
    server = http.serve(HttpSettings(), Health(), metrics.registry)
    assert server is not None
    try:
        with Producer(stage.pipeline, kafka=stage.kafka, metrics=metrics) as producer:
            yield producer, server.url.removeprefix("http://")
    finally:
        server.stop()


@contextmanager
def scraped(stage: Stage) -> Iterator[tuple[Producer, Prometheus, "Ports"]]:
    ports = Ports(free_port(), free_port(), free_port())
    rules = render_rules(GROUPS)
    without_patience = re.sub(r"\n +for: .*", "", rules)
    with producing(stage) as (producer, own), ExitStack() as stack:
        targets = {"service": [own], "headrace": ports.addresses}
        prometheus = stack.enter_context(running(targets, without_patience))
        yield producer, prometheus, ports


class Ports:
    """Where the worker, the scheduler and the exporter serve their metrics."""

    def __init__(self, worker: int, scheduler: int, exporter: int) -> None:
        self.worker, self.scheduler, self.exporter = worker, scheduler, exporter

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in (self.worker, self.scheduler, self.exporter)]


def filled(expression: str, values: Mapping[str, str]) -> str:
    for name, value in {"__rate_interval": "5m", **values}.items():
        expression = expression.replace(f"${name}", value)
    assert "$" not in expression, expression
    return expression


def gives_numbers(prometheus: Prometheus, expression: str) -> bool:
    return any(each["value"][1] != "NaN" for each in prometheus.query(expression))


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path)
    yield stage
    stage.close()


def submit_jobs(stage: Stage, producer: Producer, dead: int = 0) -> list[str]:
    """Jobs that succeed, that fail once and come back through a tier, and that die."""
    journal = stage.journal().path
    given = [producer.submit("work", {"journal": journal, "tag": f"w{n}"}) for n in range(20)]
    given += [
        producer.submit("work", {"journal": journal, "tag": f"f{n}", "fail": 1}) for n in range(3)
    ]
    given += [producer.submit("speak", {"journal": journal, "what": "reject"}) for _ in range(dead)]
    for receipt in given:
        receipt.confirm(60)
    return [receipt.job_id for receipt in given]


@pytest.mark.kafka
def test_every_expression_of_the_boards_gives_data_and_alerts_tell_the_truth(stage: Stage) -> None:
    with scraped(stage) as (producer, prometheus, ports):
        missing = {"HeadraceNoScheduler", "HeadraceLagUnknown"}
        wait_until("they are missed", lambda: prometheus.firing().keys() == missing)
        job_ids = submit_jobs(stage, producer, dead=DEAD)
        with (
            stage.process("worker", HEADRACE_HTTP_PORT=str(ports.worker)),
            stage.process("scheduler", HEADRACE_HTTP_PORT=str(ports.scheduler)),
            stage.process("exporter", HEADRACE_HTTP_PORT=str(ports.exporter), **OFTEN),
        ):
            _await_end(stage, job_ids)
            lane = stage.topic("default.normal")
            told = f"{DEAD} jobs of speak on {lane} died in 10 minutes: rejected"
            only = {"HeadraceDeadLetters": told}
            wait_until("that alert alone rings", lambda: prometheus.firing() == only)
            # Once more: rates are of what grows while it is looked at
            _await_end(stage, submit_jobs(stage, producer))
            wait_until("the metrics tell the truth", lambda: shown(prometheus) == truth(stage))
            held = stage.journal()  # one job runs on: how old what waits is, is of something alone
            producer.submit("gate", {"journal": held.path, "tag": "runs on"}).confirm(60)
            _ask_all_boards(prometheus, stage, f"127.0.0.1:{ports.worker}")


def _await_end(stage: Stage, job_ids: list[str]) -> None:
    for job_id in job_ids:
        stage.await_state(job_id, JobState.SUCCEEDED, JobState.DEAD, patience=90)


def shown(prometheus: Prometheus) -> list[float | None]:
    """What metrics add up to: succeeded, dead, retried, submitted."""
    series = (
        'headrace_jobs_total{outcome="succeeded"}',
        "headrace_dead_jobs_total",
        "headrace_retries_total",
        "headrace_submitted_total",
    )
    return [prometheus.value(f"sum({each})") for each in series]


def truth(stage: Stage) -> list[float | None]:
    """The same, counted on the events topic."""
    final = [state for states in stage.final_states().values() for state in states]
    retried = [each for each in stage.transitions() if each.state == JobState.RETRYING]
    assert final.count("dead") == DEAD
    return [final.count("succeeded"), DEAD, len(retried), len(final)]


def _ask_all_boards(prometheus: Prometheus, stage: Stage, worker: str) -> None:
    values = {
        "pipeline": stage.pipeline.name,
        "lane": stage.topic("default.normal"),
        "worker": worker,
    }
    for board in BOARDS:
        for expression in expressions(board.render()):
            asked = filled(expression, values)
            there = partial(gives_numbers, prometheus, asked)
            wait_until(f"{board.name} shows {asked}", there)
