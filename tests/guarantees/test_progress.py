"""Progress as whoever reads the events topic sees it, from threads and from child processes.

What can go wrong: a job that tells a lot floods the topic; its last word is lost, or comes after
its outcome; a word of a running job makes a finished one look as if it ran.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support import telling
from tests.support.stage import Stage

pytestmark = pytest.mark.kafka
LANES = ("default.normal", "procs.normal")


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"), module=telling)
    with stage.worker(LANES):
        yield stage
    stage.close()


@pytest.mark.parametrize("queue", ["default", "procs"])
def test_a_busy_job_tells_once_a_second_and_its_last_word_comes_before_its_outcome(
    stage: Stage, queue: str
) -> None:
    job = stage.submit(f"{queue}.count", steps=250, pause=0.01)
    stage.await_state(job, JobState.SUCCEEDED)
    told = [each for each in stage.of(job) if each.progress is not None]
    assert {each.state for each in told} == {JobState.RUNNING}
    *regular, last = told
    assert (last.progress, last.progress_text) == (1.0, "step 250 of 250")
    assert len(regular) >= 2
    assert all(later.time - earlier.time >= 900 for earlier, later in pairwise(regular))
    shares = [each.progress or 0.0 for each in told]
    assert shares == sorted(shares)


@pytest.mark.parametrize("queue", ["default", "procs"])
def test_a_job_that_is_over_at_once_has_told_its_last_word_all_the_same(
    stage: Stage, queue: str
) -> None:
    job = stage.submit(f"{queue}.count", steps=3, pause=0.0)
    stage.await_state(job, JobState.SUCCEEDED)
    states = [(each.state, each.progress) for each in stage.of(job)]
    assert states[-2:] == [("running", 1.0), ("succeeded", None)]
