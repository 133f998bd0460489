"""`headrace jobs` over the query store: the same as Kafka tells, and what only the store knows.

What can go wrong: the store tells something else of a job than the topics do; a hop, a replay or a
double is left out; a job cannot be shown since Kafka has forgotten it, or does not answer.
"""

import json
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.console.commands import job_timeline, jobs_watched
from headrace.console.main import app
from headrace.pipeline.settings import StoreSettings
from headrace.processors.errors import NotFoundError
from headrace.processors.job_events import events_of
from headrace.processors.projector.projector import Projector
from headrace.processors.store.engine import open_store
from headrace.processors.store.reading import StoreReader
from headrace.processors.store.rows import rows_of
from headrace.schemas.transitions import NOWHERE
from tests.processors.test_job_history import Lived
from tests.store.evidence import SHOP, transition
from tests.support.stage import wait_until

MODULE = "stored_jobs_of_a_shop"
kafka_needed = pytest.mark.kafka


@pytest.fixture(scope="module")
def store_url(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store that is kept up to date while the tests of this module run."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db"
    settings = StoreSettings.model_validate({"store_url": url})
    projector = Projector(lived.shop, lived.kafka, settings)
    thread = threading.Thread(target=projector.run)
    thread.start()
    wait_until("it writes", lambda: projector.last_write > 0)
    wait_until("all are in it", lambda: _stored(settings, lived) >= set(lived.ids.values()))
    yield url
    projector.stop()
    thread.join(30)
    assert not thread.is_alive()


def _stored(settings: StoreSettings, lived: Lived) -> set[str]:
    engine = open_store(settings)
    jobs = StoreReader(engine, lived.shop.name).page(limit=100).jobs
    engine.dispose()
    return {job.job_id for job in jobs}


@pytest.fixture
def environment(lived: Lived, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(MODULE)
    module.__dict__["shop"] = lived.shop
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setenv("HEADRACE_PIPELINE", f"{MODULE}:shop")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", str(lived.kafka.bootstrap_servers))
    monkeypatch.setenv("HEADRACE_STORE_URL", store_url)


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(job_id: str, *words: str) -> Any:
    return json.loads(run("jobs", "show", job_id, "--json", *words))


@kafka_needed
@pytest.mark.usefixtures("environment")
def test_the_store_tells_of_a_job_what_kafka_tells(lived: Lived) -> None:
    for name, job_id in lived.ids.items():
        stored, read = (shown(job_id, "--source", source) for source in ("store", "kafka"))
        assert (stored.pop("source"), read.pop("source")) == ("store", "kafka")
        events = stored.pop("events")
        assert all(event in events for event in read.pop("events")), name
        for transitions in (stored["transitions"], read["transitions"]):
            assert all(each["lane"] for each in transitions)
        assert stored == read, name


@kafka_needed
@pytest.mark.usefixtures("environment")
def test_every_hop_of_a_job_is_in_its_timeline(lived: Lived) -> None:
    job = lived.ids["failed"]
    told = shown(job)
    name = lived.shop.name
    assert told["source"] == "store"
    assert [(each["told_by"], each["state"], each["topic"]) for each in told["events"]] == [
        ("transition", "retrying", f"{name}.default.normal"),
        ("record", "retrying", f"{name}.delay.soon"),
        ("record", "queued", f"{name}.default.normal"),
        ("transition", "dead", f"{name}.default.normal"),
        ("record", "dead", f"{name}.default.dlq"),
    ]
    first = told["events"][0]
    assert first["started_ms"] <= first["ended_ms"]
    assert first["worker"]
    assert first["error_message"] == "order 17 is broken"
    table = run("jobs", "show", job)
    for part in ("waits in a delay tier", "back on its lane", "lies as a dead letter", "order 17"):
        assert part in table
    assert f"{name}.delay.soon/" in table


@kafka_needed
@pytest.mark.usefixtures("environment")
def test_a_job_that_the_store_does_not_know_is_looked_for_in_kafka_unless_it_is_to_be_the_store() -> (
    None
):
    with pytest.raises(NotFoundError, match="searched"):
        run("jobs", "show", "nobody")
    with pytest.raises(NotFoundError, match=r"the store knows no job nobody.*--source kafka"):
        run("jobs", "show", "nobody", "--source", "store")


@kafka_needed
@pytest.mark.usefixtures("environment")
def test_the_store_tells_of_a_job_while_kafka_is_away(
    lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.processors.snapshot import Cluster

    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr(Cluster, "bound", {"request_timeout": 1.0})
    told = shown(lived.ids["succeeded"])
    assert told["state"] == "succeeded"
    assert told["result"]["value"] == "Grüß Gott, Jürgen ☕"
    assert "127.0.0.1:1" in told["arguments"]["problem"]


@kafka_needed
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("source", ["store", "kafka"])
def test_jobs_are_watched_as_they_change(
    lived: Lived, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    looks = iter([None, None])

    def pause(_: float) -> None:
        if next(looks, pause) is pause:
            raise KeyboardInterrupt

    monkeypatch.setattr(jobs_watched, "time", types.SimpleNamespace(sleep=pause))
    told = run("jobs", "watch", "--json", "--source", source, "--state", "queued")
    found = [json.loads(line)["job_id"] for line in told.splitlines()]
    assert sorted(found) == sorted([lived.ids["queued"], lived.ids["deduplicated"]])


def test_only_what_changed_is_told_the_oldest_change_first() -> None:
    def summary(job_id: str, state: str) -> Any:
        return rows_of(transition(job_id, state), SHOP.topology).job.summary()

    before = {each.job_id: each for each in (summary("a", "running"), summary("b", "running"))}
    now = [summary("c", "running"), summary("b", "dead"), summary("a", "running")]
    assert [job.job_id for job in jobs_watched.changed(before, now)] == ["b", "c"]


def test_replays_doubles_and_the_last_progress_are_in_the_timeline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    job_timeline.draw(
        events_of(
            transition(state="dead", time=1_000, reason="rejected", offset=NOWHERE),
            transition(state="duplicate", time=1_500, offset=7),
            transition(state="running", time=2_000, generation=1, step=3, progress=0.2),
            transition(state="running", time=2_500, generation=1, step=3, progress=0.6),
            transition(
                state="succeeded", time=3_000, generation=1, step=3, started=2_000, ended=3_000
            ),
        )
    )
    head, dead, double, running, succeeded = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["time", "(UTC)", "what"]
    assert dead.split()[-1] == "rejected"
    assert "duplicate, dropped" in double
    assert double.rstrip().endswith("/0/7")
    assert "replay 1; " in running
    assert "60%" in running
    assert "replay" not in succeeded
    assert "1s" in succeeded
