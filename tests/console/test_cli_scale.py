"""`headrace scale`: on a real Kafka, and on what is wrong."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.console.commands.scale import app, choosing, explaining
from headrace.console.output import UsageError
from headrace.deploy import lane_reading
from headrace.pipeline.errors import KafkaUnavailableError
from tests.console.conftest import SHOP, CommandLine, eventually
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


@pytest.fixture
def silent_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker can be reached."""

    def silent(*_: object) -> None:
        raise KafkaUnavailableError("no answer")

    monkeypatch.setattr(lane_reading, "read_lane", silent)


@pytest.mark.usefixtures("silent_kafka")
def test_explain_tells_that_nothing_changes_when_kafka_is_away_and_fails() -> None:
    done = run("explain", "default.high", SHOP, "--replicas", "2")
    assert isinstance(done.exception, KafkaUnavailableError)
    assert "never comes to its fallback" in done.stdout


@pytest.mark.usefixtures("silent_kafka")
def test_explain_takes_the_bounds_of_an_environment_by_its_name_or_its_namespace(
    tmp_path: Path,
) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text(
        'image = "shop:1"\nkafka.bootstrap_servers = "kafka:9092"\n[environments.dev]\n'
        'min_replicas = 2\nmax_replicas = 3\nnamespace = "playground"\n[environments.live]\n'
    )
    words = ("explain", "default.high", SHOP, "--profile", str(profile))

    def pods(*more: str) -> str:
        lines = str(run(*words, *more).stdout).splitlines()
        return next(line.split()[-1] for line in lines if line.startswith("pods now"))

    assert pods() == "1"
    assert pods("--environment", "live") == "1"
    assert pods("--environment", "dev") == "2"
    seen = run(*words, "--namespace", "playground", "--replicas", "0").stdout
    assert "without work it keeps 2 pods" in seen
    wrong = run(*words, "--environment", "prod").exception
    assert str(wrong) == "the profile has no environment 'prod': it has dev, live"


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


def test_simulate_prints_a_line_for_each_strategy_with_its_price_and_draws_them(
    tmp_path: Path,
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    picture = tmp_path / "ramp.svg"
    done = run("simulate", "ramp", "--price", "2", "--plot", str(picture), "--min", "0")
    assert done.exit_code == 0, done.output
    [head, *rows] = [line.split("  ") for line in done.stdout.splitlines()]
    assert head[-1].strip() == "price"
    assert [row[2].strip() or row[1].strip() for row in rows]
    assert all(name in done.stdout for name in ("default", "aggressive", "conservative"))
    assert picture.read_text().startswith("<?xml")
    assert run("simulate", "ramp", "--plot", str(tmp_path / "x.nothing")).exception is not None


def test_simulate_takes_sizes_from_the_profile_and_from_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text(
        'image = "x"\nkafka = {bootstrap_servers = "k"}\n'
        "[lanes.'a.low']\nmin_replicas = 2\nmax_replicas = 3\njobs_per_second = 100\n"
    )
    words = ("simulate", "burst", "--lane", "a.low", "--strategy", "default", "--json")
    [small] = json.loads(run(*words, "--profile", str(profile)).stdout)
    assert {sight["replicas"] for sight in small["sights"]} == {2}
    [more] = json.loads(run(*words, "--profile", str(profile), "--jobs-per-second", "5").stdout)
    assert max(sight["replicas"] for sight in more["sights"]) == 3
    done = run(*words, "--profile", str(profile), "--min", "5")
    assert isinstance(done.exception, UsageError)
    assert "5 pods at least are more than 3 at most" in str(done.exception)


def test_simulate_takes_a_strategy_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "my_scaling.py").write_text(
        "from dataclasses import replace\n"
        "from headrace.deploy.scaling.strategies import STRATEGIES\n"
        "mine = replace(STRATEGIES['default'], name='mine')\n"
    )
    words = ("simulate", "ramp", "--strategy", "my_scaling:mine,default", "--json")
    mine, default = json.loads(run(*words, "--app-dir", str(tmp_path)).stdout)
    assert mine["strategy"] == "mine"
    assert mine["sights"] == default["sights"]


def test_what_was_recorded_from_kafka_can_be_simulated(shop: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "load.csv"
    recording = shop.start("scale", "record", str(file), "--every", "200ms")
    eventually("it records", lambda: file.exists() and file.read_text().count("\n") > 2)
    shop.ok("submit", "email.send", EMAIL)
    eventually("the job is seen", lambda: ",1\n" in file.read_text())
    recording.signal(signal.SIGINT)
    assert recording.ends() == 0
    words = ("simulate", str(file), "--lane", "default.high", "--strategy", "default", "--json")
    [found] = json.loads(run(*words).stdout)
    assert found["lane"] == "default.high"
