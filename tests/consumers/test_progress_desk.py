"""Progress of running jobs: passed on seldom, the last word never lost, nothing kept of the dead."""

import os
from typing import Any

import pytest

from headrace.consumers.executors.contract import call_of
from headrace.consumers.progress import ProgressDesk
from headrace.consumers.progress_pipe import ChildProgress, ProgressPipe
from headrace.consumers.records import JobRecord
from headrace.pipeline import Progress
from tests.consumers.executor_bench import record_of

HALF, DONE = Progress(0.5, "half"), Progress(1.0)


@pytest.fixture
def record() -> JobRecord:
    return record_of("sync.nothing", 60.0, {})


def told(desk: ProgressDesk, record: JobRecord, now: float) -> list[Progress]:
    return [progress for _, _, progress in desk.due([(record, 1)], now)]


def test_the_first_word_is_passed_on_at_once_and_then_the_latest_of_each_second(
    record: JobRecord,
) -> None:
    desk = ProgressDesk()
    desk.tell(record, Progress(0.1))
    assert told(desk, record, 10.0) == [Progress(0.1)]
    for step in range(2, 9):
        desk.tell(record, Progress(step / 10))
        assert told(desk, record, 10.0 + step / 10) == []
    assert told(desk, record, 11.0) == [Progress(0.8)]
    assert told(desk, record, 15.0) == []


def test_the_same_word_again_is_no_news(record: JobRecord) -> None:
    desk = ProgressDesk()
    desk.tell(record, HALF)
    assert told(desk, record, 1.0) == [HALF]
    desk.tell(record, Progress(0.5, "half"))
    assert told(desk, record, 5.0) == []
    assert desk.last(record) is None


def test_the_last_word_is_there_at_the_end_unless_it_was_passed_on(record: JobRecord) -> None:
    desk = ProgressDesk()
    desk.tell(record, HALF)
    assert told(desk, record, 1.0) == [HALF]
    desk.tell(record, DONE)
    assert desk.last(record) == DONE
    assert not desk.told


def test_a_result_in_the_queue_still_takes_the_last_word_along(record: JobRecord) -> None:
    desk = ProgressDesk()
    desk.tell(record, HALF)
    assert desk.due([], 1.0) == []
    assert desk.last(record) == HALF


def test_what_a_lost_thread_goes_on_telling_is_neither_passed_on_nor_kept(
    record: JobRecord,
) -> None:
    desk = ProgressDesk()
    desk.tell(record, HALF)
    for look in range(3):
        assert desk.due([], float(look)) == []
    assert not desk.told


def test_a_second_try_at_the_same_place_is_not_taken_for_the_first(record: JobRecord) -> None:
    desk = ProgressDesk()
    again = record_of("sync.nothing", 60.0, {})
    desk.tell(record, HALF)
    assert told(desk, again, 1.0) == []


def test_a_child_sends_the_first_word_at_once_and_keeps_the_last_for_its_answer(
    record: JobRecord,
) -> None:
    pipe = ProgressPipe()
    child, call = ChildProgress(pipe.writer), call_of(record)
    child.begin(call)
    child.tell(call, HALF)
    child.tell(call, DONE)
    assert list(pipe.read()) == [((call.job_id, 1), HALF)]
    child.flush()
    child.flush()
    assert list(pipe.read()) == [((call.job_id, 1), DONE)]
    assert child.end() == DONE


def test_a_pipe_that_nobody_reads_holds_up_no_job(record: JobRecord) -> None:
    pipe = ProgressPipe()
    child, call = ChildProgress(pipe.writer), call_of(record)
    child.begin(call)
    for step in range(2_000):
        child.tell(call, Progress(step / 2_000, "x" * 500))
        child.flush()
    assert child.end() == Progress(1_999 / 2_000, "x" * 500)
    assert len(list(pipe.read())) > 50


def test_a_thread_that_a_job_left_behind_tells_nothing_of_the_next_one(record: JobRecord) -> None:
    pipe = ProgressPipe()
    child, first, second = ChildProgress(pipe.writer), call_of(record), call_of(record)
    child.begin(first)
    child.end()
    child.begin(second)
    child.tell(first, HALF)
    assert child.end() is None
    assert list(pipe.read()) == []


def test_what_is_no_message_is_passed_over(record: JobRecord) -> None:
    pipe = ProgressPipe()
    for junk in (b"\xff\xfe\n", b"[1]\n", b"null\n", b'["a", "b", 1, 2]\n', b'["a", 1, "x", 2]\n'):
        os.write(pipe.writer.fileno(), junk)
    child, call = ChildProgress(pipe.writer), call_of(record)
    child.begin(call)
    child.tell(call, HALF)
    assert list(pipe.read()) == [((call.job_id, 1), HALF)]


@pytest.mark.parametrize("wrong", [-0.1, 1.01, float("nan"), float("inf")])
def test_a_share_beyond_all_or_nothing_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="done / total"):
        listening()[0].progress(wrong)


@pytest.mark.parametrize("wrong", ["half", None, b"1", [0.5]])
def test_what_is_no_number_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="is no number"):
        listening()[0].progress(wrong)


def test_a_text_is_cut_and_made_encodable() -> None:
    context, heard = listening()
    context.progress(0, "a" * 600)
    context.progress(True, "file \udcff.py")
    assert heard == [Progress(0.0, "a" * 500), Progress(1.0, "file ?.py")]
    with pytest.raises(TypeError, match="not str"):
        context.progress(1, b"bytes")


def listening() -> tuple[Any, list[Progress]]:
    from tests.pipeline.test_context import context

    heard: list[Progress] = []
    made = context()
    made.listener = heard.append
    return made, heard
