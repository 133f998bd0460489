"""`headrace scale`: on a real Kafka, and on what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.console.commands.scale import app, choosing, explaining
from headrace.console.output import UsageError
from headrace.pipeline.errors import KafkaUnavailableError
from tests.console.conftest import SHOP, CommandLine
from tests.sample_pipelines import shop as samples

EMAIL = '{"to": "a@example.com"}'


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_explain_reads_the_lag_from_kafka_and_says_where_the_count_goes(
    shop: CommandLine, unique_name: str
) -> None:
    shop.ok("submit", "email.send", EMAIL)
    found = json.loads(shop.ok("scale", "explain", "default.high", "--replicas", "0", "--json"))
    assert found["lane"] == f"{unique_name}.default.high"
    steps = {each["name"]: each for each in found["steps"]}
    assert (steps["lag"]["lag"], steps["ready backlog"]["ready"]) == (1, 1)
    assert found["moves"] == [{"seconds": 0, "replicas": 0}, {"seconds": 0, "replicas": 1}]


def test_explain_tells_of_the_fallback_when_kafka_is_away_and_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    done = run("explain", "default.high", SHOP, "--replicas", "2")
    assert isinstance(done.exception, KafkaUnavailableError)
    assert "the fallback of 2 pods stands in for it" in done.stdout


def test_a_lane_that_is_not_there_is_answered_with_those_that_are() -> None:
    lanes = {lane.topic: lane for lane in samples.shop.topology.lanes()}
    for name in ("default.high", f"{samples.shop.name}.default.high"):
        assert choosing.lane_named(samples.shop, name) in lanes.values()
    with pytest.raises(UsageError, match=r"no lane 'default\.hihg': it has default\.high, "):
        choosing.lane_named(samples.shop, "default.hihg")


def test_kubectl_is_asked_for_the_pods_and_what_it_says_instead_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl = tmp_path / "kubectl"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    kubectl.write_text('#!/bin/sh\nprintf 7; echo "$@" > "${0%/*}/asked"\n')
    kubectl.chmod(0o755)
    assert explaining._asked("shop-dev", "shop-default-high") == 7
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("--namespace shop-dev get deployment shop-default-high")
    kubectl.write_text("#!/bin/sh\necho no such deployment >&2; exit 1\n")
    with pytest.raises(explaining.ClusterError, match="no such deployment; give --replicas"):
        explaining._asked("shop-dev", "shop-default-high")
    kubectl.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(explaining.ClusterError, match="does not run"):
        explaining._asked("shop-dev", "shop-default-high")
