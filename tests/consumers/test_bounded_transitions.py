"""Transitions that go with a hand-over: any number, of any lanes, of any size."""

from headrace.consumers.transition_log import MAX_BYTES, bounded
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch


def told(job_id: str, lane: str = "shop.default.normal", error: str | None = None) -> Transition:
    return Transition(
        job_id, "work", JobState.DEAD.value, lane, 0, 1, 1, 1, 0, 2, 1, "w", error_message=error
    )


def read(payloads: list[bytes]) -> list[Transition]:
    return [each for payload in payloads for each in decode_batch(payload)]


def test_nothing_to_tell_writes_no_record() -> None:
    assert bounded([]) == []


def test_one_lane_is_told_of_in_one_record() -> None:
    given = [told("a"), told("b")]
    payloads = bounded(given)
    assert len(payloads) == 1
    assert read(payloads) == given


def test_each_lane_keeps_its_name() -> None:
    given = [told("a"), told("b", "shop.default.high"), told("c", "shop.default.high"), told("d")]
    assert read(bounded(given)) == given


def test_what_is_too_large_together_is_split_and_what_is_so_alone_is_cut() -> None:
    half = "x" * (MAX_BYTES // 2)
    given = [told("a", error=half), told("b", error=half), told("c", error=half * 3)]
    payloads = bounded(given)
    assert all(len(payload) <= MAX_BYTES for payload in payloads)
    found = read(payloads)
    assert found[:2] == given[:2]
    assert found[2].job_id == "c"
    assert half.startswith(found[2].error_message or "-")
