"""The checker against a real broker and a real engine: what it reads is what lies there."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.console.proof import dump
from headrace.console.proof.checker import check
from headrace.console.proof.dump import Records
from headrace.console.proof.joined import RunLog
from headrace.console.proof.records import CALM, ExecutionEvent, RunInfo, Submission, What
from headrace.console.proof.topics_read import read_topics
from headrace.schemas.states import JobState
from tests.proof.builder import tripped
from tests.support.jobs import Journal
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
WHAT = {"start": What.START, "done": What.DONE, "fail": What.RAISE}


@dataclass
class Told:
    """A run without faults: what was submitted, what handlers said, what was left."""

    stage: Stage
    journal: Journal
    ids: dict[str, str]
    submitted: list[Submission]
    left: Records

    def log(self) -> RunLog:
        info = RunInfo("r", 1, self.stage.pipeline.name, CALM, 0.1, "", {}, {}, 6.0, 8)
        events = [
            ExecutionEvent(
                each.at, WHAT[each.what], self.ids[each.tag], each.attempt, each.pid, "", "", -1,
                0, each.at, each.pid,
            )
            for each in self.journal.events()
        ]  # fmt: skip
        return RunLog(info, self.submitted, (), events, ())


@pytest.fixture(scope="module")
def told(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    name = f"t{uuid.uuid4().hex[:8]}"
    stage = Stage.build(name, kafka, tmp_path_factory.mktemp("stage"))
    journal = stage.journal()
    ids: dict[str, str] = {}
    submitted: list[Submission] = []
    with stage.worker(), stage.scheduler(), stage.producer() as producer:
        for tag, fail, delay in (("ok", 0, 0), ("again", 1, 0), ("dead", 9, 0), ("later", 0, 400)):
            work = {"journal": journal.path, "tag": tag, "fail": fail}
            wait = timedelta(milliseconds=delay) if delay else None
            due = time.time_ns() // 1_000_000 + delay if delay else 0
            receipt = producer.submit("work", work, delay=wait)
            at = receipt.confirm(10)
            ids[tag] = receipt.job_id
            lane = f"{name}.default.normal"
            submitted.append(
                Submission(receipt.job_id, "work", lane, "", -1, due, "{}", at.partition, at.offset)
            )
        for tag, job_id in ids.items():
            stage.await_state(job_id, JobState.DEAD if tag == "dead" else JobState.SUCCEEDED)
        stage.drained()
        wait_until("the tiers are empty", lambda: not stage.waiting_in_tiers())
    yield Told(stage, journal, ids, submitted, read_topics(stage.kafka, name))
    stage.close()


def test_an_honest_run_is_ok(told: Told) -> None:
    findings = check(told.log(), told.left)
    assert tripped(findings) == {}, findings.examples
    assert findings.reasons == ()
    assert findings.ok
    assert findings.outcomes == {"dead": 1, "succeeded": 3}
    assert (findings.accepted, findings.executions, findings.reexecuted) == (4, 7, 0)
    assert findings.lateness_ms.max > 0


def test_what_was_read_says_which_step_lay_where(told: Told) -> None:
    name = told.stage.pipeline.name
    mine = [each for each in told.left.records if each.job_id == told.ids["again"]]
    ways = [(each.step, each.topic, each.attempt) for each in sorted(mine, key=lambda r: r.step)]
    lane, soon = f"{name}.default.normal", f"{name}.delay.soon"
    assert ways == [(0, lane, 1), (1, soon, 2), (2, lane, 2)]
    assert [each.due > 0 for each in sorted(mine, key=lambda r: r.step)] == [False, True, True]
    (letter,) = [each for each in told.left.records if each.topic == f"{name}.default.dlq"]
    assert (letter.job_id, letter.reason) == (told.ids["dead"], "exhausted")
    assert letter.worker
    assert all(each.appended > 1_600_000_000_000 for each in told.left.records)


def test_positions_tell_what_is_committed_with_its_metadata(told: Told) -> None:
    name = told.stage.pipeline.name
    found = {place: at for place, at in told.left.positions.items() if "default.normal" in place[0]}
    assert set(found) == {(f"{name}.default.normal", 0), (f"{name}.default.normal", 1)}
    assert all(at.committed.offset == at.end for at in found.values())
    assert any(at.committed.metadata.startswith("H") for at in found.values())
    assert {topic for topic, _ in told.left.positions} >= {f"{name}.delay.soon"}


def test_a_log_that_lacks_an_execution_is_noticed(told: Told) -> None:
    log = told.log()
    events = [each for each in log.events if each.job_id != told.ids["ok"]]
    less = RunLog(log.info, log.submitted, (), events, ())
    assert tripped(check(less, told.left)) == {"lost": 1}


def test_what_was_read_is_kept_without_loss(told: Told, tmp_path: Path) -> None:
    dump.write(told.left, tmp_path)
    kept = dump.read(tmp_path)
    assert list(kept.records) == list(told.left.records)
    assert list(kept.transitions) == list(told.left.transitions)
    assert kept.positions == told.left.positions
