"""What `headrace stats`, the query store and the topics themselves tell of one run must be the same.

What can go wrong: one of them counts a double, a retry or a replayed record as a job of its own; one
leaves a state out; what a job that was cancelled, that expired or that still waits is told as differs.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.console.main import app
from headrace.pipeline.settings import StoreSettings
from headrace.pipeline.topics import Role
from headrace.processors.projector.projector import Projector
from headrace.processors.sightings import sight
from headrace.processors.store.engine import open_store
from headrace.processors.store.reading import StoreReader
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition
from tests.guarantees.conftest import new_stage
from tests.support import jobs
from tests.support.orders import cancel
from tests.support.stage import Stage, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
PATIENCE = 120.0
EACH = 4
"""Jobs of every fate."""
FATES = {
    "succeeded": 2 * EACH + 1,  # at once; after a retry; the one that was submitted twice
    "dead": 2 * EACH,  # exhausted; rejected
    "cancelled": EACH,
    "expired": EACH,
    "delayed": EACH,
    "queued": EACH,
    "running": 1,
}
_COUNTED = (
    "submitted",
    "succeeded",
    "dead",
    "failed",
    "retried",
    "cancelled",
    "expired",
    "duplicate",
)


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path)
    yield stage
    stage.close()


def submit(stage: Stage, journal: jobs.Journal) -> int:
    """Submit jobs of every fate; gives how many submissions there were."""
    hour, soon = timedelta(hours=1), timedelta(milliseconds=300)
    expiring = {"delay": soon, "expires": timedelta(milliseconds=1)}
    to_cancel = []
    for number in range(EACH):
        given: dict[str, Any] = {"journal": journal.path, "tag": f"t{number}"}
        stage.submit("work", **given)
        stage.submit("work", {"priority": "high"}, **given, fail=1)
        stage.submit("work", **given, fail=9)
        stage.submit("speak", journal=journal.path, what="reject")
        stage.submit("work", expiring, **given)
        stage.submit("work", {"delay": hour}, **given)
        to_cancel.append(stage.submit("work", {"delay": hour}, **given))
        stage.submit("gate.process", **given)  # nobody works on its queue
    for _ in range(2):
        stage.submit("work", {"dedup_key": "once"}, journal=journal.path, tag="once")
    stage.submit("gate", journal=journal.path, tag="running")
    cancel(stage, *to_cancel)
    return 8 * EACH + 3


def recount(stage: Stage) -> tuple[Counter[str], Counter[str]]:
    """Count the topics: jobs by their states, and what happened to them."""
    last: dict[str, Transition] = {}
    happened: Counter[str] = Counter()
    for each in stage.transitions():
        happened[each.state] += 1
        if each.job_id not in last or each.order > last[each.job_id].order:
            last[each.job_id] = each
    states = {job_id: each.state for job_id, each in last.items()}
    for topic, role in (("procs.normal", Role.LANE), ("delay.30m", Role.TIER)):
        for record in stage.records(topic):
            found = sight(record, role)
            states.setdefault(found.job.job_id, found.state.value)
    return Counter(states.values()), happened


@contextmanager
def projecting(stage: Stage, settings: StoreSettings) -> Iterator[StoreReader]:
    projector = Projector(stage.pipeline, stage.kafka, settings)
    thread = threading.Thread(target=projector.run, name="projector")
    thread.start()
    engine = open_store(settings)
    try:
        wait_until("it writes", lambda: projector.last_write > 0, PATIENCE)
        yield StoreReader(engine, stage.pipeline.name)
    finally:
        engine.dispose()
        projector.stop()
        thread.join(30)
    assert not thread.is_alive()


def stored(reader: StoreReader) -> Counter[str]:
    found: Counter[str] = Counter()
    for total in reader.totals():
        found[total.state] += total.jobs
    return found


def counted(stage: Stage) -> dict[str, Any]:
    """What `headrace stats --json` tells."""
    env = {
        "HEADRACE_BOOTSTRAP_SERVERS": stage.kafka.bootstrap_servers,
        "HEADRACE_PIPELINE": jobs.reference(stage.pipeline.name),
    }
    done = CliRunner(env=env).invoke(app, ["stats", "--json"])
    if done.exit_code != 0:
        return {}
    told = json.loads(done.stdout)
    windows = told["total"]["windows"]
    return windows["1h"]["counts"] if told["complete"] and windows else {}


def test_statistics_store_and_topics_tell_the_same_of_jobs_in_every_state(
    stage: Stage, tmp_path: Path
) -> None:
    settings = StoreSettings.model_validate({"store_url": f"sqlite:///{tmp_path}/store.db"})
    journal = stage.journal()
    counting = stage.process(
        "processors statistics",
        HEADRACE_STATS_DIR=str(tmp_path / "streams"),
        HEADRACE_STATS_INTERVAL="300ms",
    )
    with (
        counting,
        stage.worker(("default.high", "default.normal"), worker_drain_budget="1s"),
        stage.scheduler(),
        projecting(stage, settings) as reader,
    ):
        submissions = submit(stage, journal)
        wait_until("every job has met its fate", lambda: recount(stage)[0] == FATES, PATIENCE)
        wait_until("the store tells so", lambda: stored(reader) == FATES, PATIENCE)
        _, happened = recount(stage)
        wanted = {
            "submitted": submissions,
            "succeeded": FATES["succeeded"],
            "dead": FATES["dead"],
            "failed": happened["retrying"] + FATES["dead"],
            "retried": happened["retrying"],
            "cancelled": FATES["cancelled"],
            "expired": FATES["expired"],
            "duplicate": happened["duplicate"],
        }
        assert wanted["duplicate"] == 1
        assert wanted["retried"] == EACH + 2 * EACH

        def agrees() -> bool:
            found = counted(stage)
            return {name: found.get(name) for name in _COUNTED} == wanted

        try:
            wait_until("the statistics tell so", agrees, PATIENCE)
        except AssertionError:
            raise AssertionError(f"{counted(stage)} is not {wanted}") from None
        doubled = sum(
            event.state == JobState.DUPLICATE
            for job in reader.page(limit=1_000).jobs
            if (life := reader.life(job.job_id)) is not None
            for event in life.events
        )
        assert doubled == wanted["duplicate"]
        journal.gate.touch()
