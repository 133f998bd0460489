"""The controller on a real Kafka, against an API server that records what it is asked to change."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.consumers.clock import now_ms
from headrace.pipeline.compacted import write_all
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import ScalerSettings, load
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.processors.repair.replay_definition import (
    Phase,
    ReplayDefinition,
    ReplayOptions,
    ReplayProgress,
)
from headrace.processors.repair.replay_store import definition_record, progress_record
from headrace.processors.scale_in.cluster_api import ClusterApi, Kind
from headrace.processors.scale_in.controller import ScaleIn, labels_of
from headrace.processors.scale_in.costs import ANNOTATION
from headrace.processors.scale_in.errors import ClusterError
from headrace.processors.scale_in.pauses import OURS, PAUSED
from tests.guarantees.conftest import new_stage
from tests.support.fake_cluster import PODS, SCALED_OBJECTS, FakeCluster, fake_cluster
from tests.support.stage import Stage, wait_until

HOST = socket.gethostname()


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with fake_cluster() as cluster:
        yield cluster


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path)
    yield stage
    stage.close()


def labels(stage: Stage, component: str) -> dict[str, str]:
    return dict(labels_of(stage.pipeline, component))


def controller(stage: Stage, cluster: FakeCluster, metrics: Metrics | None = None) -> ScaleIn:
    api, interval = cluster.api(stage.folder), timedelta(seconds=1)
    metrics = metrics or Metrics(role="test")
    return ScaleIn(stage.pipeline, stage.kafka, api, interval, metrics)


@pytest.mark.kafka
def test_a_pod_costs_what_its_worker_runs_and_nothing_when_it_is_idle_again(
    stage: Stage, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_HEARTBEAT_INTERVAL", "300ms")
    journal = stage.journal()
    cluster.add(PODS, HOST, labels(stage, "worker"))
    cluster.add(
        PODS,
        "of-another-pipeline",
        {**labels(stage, "worker"), "app.kubernetes.io/instance": "other"},
    )
    for number in range(3):
        stage.submit("gate", journal=journal.path, tag=str(number))
    steering = controller(stage, cluster)

    def cost(expected: str | None) -> bool:
        steering.turn()
        assert steering.trouble == ""
        return cluster.annotations(PODS, HOST).get(ANNOTATION) == expected

    with stage.worker(concurrency=4):
        wait_until("three jobs are told of", lambda: cost("3"))
        journal.gate.touch()
        wait_until("it is idle", lambda: cost("0"))
    patched = [name for name, _ in cluster.patches]
    assert set(patched) == {HOST}
    steering.turn()
    assert len(cluster.patches) == len(patched)
    steering.stop()
    assert steering.run() == 0


@pytest.mark.kafka
def test_scaling_in_is_paused_while_a_replay_runs_and_released_when_it_ends_or_dies(
    stage: Stage, cluster: FakeCluster
) -> None:
    cluster.add(SCALED_OBJECTS, "lane", labels(stage, "worker"))
    cluster.add(SCALED_OBJECTS, "paused-by-hand", labels(stage, "worker"), **{PAUSED: "true"})
    definition = ReplayDefinition("r1", ReplayOptions(), (), 1, "someone", "a test", now_ms())
    running = ReplayProgress(Phase.RUNNING, now_ms())
    steering = controller(stage, cluster)
    steering.turn()
    assert cluster.patches == []

    def record(progress: ReplayProgress) -> None:
        topology = stage.pipeline.topology
        records = [
            definition_record(topology, definition),
            progress_record(topology, "r1", progress),
        ]
        write_all(stage.kafka, records)

    record(running)
    steering.turn()
    steering.turn()
    assert cluster.patches == [("lane", {PAUSED: "true", OURS: "r1"})]
    record(replace(running, phase=Phase.FINISHED))
    steering.turn()
    assert cluster.annotations(SCALED_OBJECTS, "lane") == {}
    record(replace(running, at=now_ms() - 61_000))
    steering.turn()
    assert cluster.annotations(SCALED_OBJECTS, "lane") == {}
    assert cluster.annotations(SCALED_OBJECTS, "paused-by-hand") == {PAUSED: "true"}
    assert steering.trouble == ""
    steering.stop()
    steering.run()


@pytest.mark.kafka
def test_a_refusal_is_told_and_counted_and_the_next_round_tries_again(
    stage: Stage, cluster: FakeCluster
) -> None:
    cluster.refuses = 403
    steering = controller(stage, cluster)
    steering.turn()
    assert "403: sorry (the service account lacks the right: apply the Role" in steering.trouble
    cluster.refuses = 0
    steering.turn()
    assert steering.trouble == ""
    steering.stop()
    steering.run()


def test_a_change_that_somebody_else_made_first_is_never_overwritten(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.add(SCALED_OBJECTS, "lane", {"app": "x"})
    cluster.raced = True
    api = cluster.api(tmp_path)
    (found,) = api.list(Kind.SCALED_OBJECTS, {"app": "x"})
    with pytest.raises(ClusterError, match="409"):
        api.annotate(Kind.SCALED_OBJECTS, found, {PAUSED: "true"})
    assert cluster.patches == []


def test_long_lists_come_in_pages(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.page = 2
    for number in range(5):
        cluster.add(PODS, f"pod-{number}", {"app": "x"})
    found = [each.name for each in cluster.api(tmp_path).list(Kind.PODS, {"app": "x"})]
    assert found == [f"pod-{number}" for number in range(5)]
    assert len(cluster.asked) == 3


def test_outside_a_cluster_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    settings = load(ScalerSettings, scaler_kubernetes_account=tmp_path)
    with pytest.raises(SettingsError, match="the pod must mount its service account's token"):
        ClusterApi.of(settings)
    for name in ("token", "namespace"):
        (tmp_path / name).write_text("x")
    with pytest.raises(SettingsError, match="this is no pod of a Kubernetes cluster"):
        ClusterApi.of(settings)


def test_a_server_that_gives_no_answer_is_named(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.url = "http://127.0.0.1:1"
    with pytest.raises(ClusterError, match="Kubernetes gives no answer"):
        list(cluster.api(tmp_path).list(Kind.PODS, {"app": "x"}))
