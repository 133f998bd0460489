"""Records that move through the delay tiers: what is carried through as it came is what was said.

What can go wrong: a record is written on that says something else than the one that was read; one
that no lane could read is taken for a job; after its first move it is not read by the short way any more.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas import headers, waiting_headers
from headrace.schemas.errors import InvalidHeadersError
from headrace.schemas.headers import JobHeaders, PastAttempt, decode, for_submission
from headrace.schemas.waiting_headers import WaitingHeaders

Given = list[tuple[str, bytes | None]]
TIME, DUE = b"2026-11-22T10:00:00.123Z", 1_795_341_700_000
SUBMITTED: Given = [
    (headers.ID, b"0199"),
    (headers.TIME, TIME),
    *for_submission("shop", "mail", "shop.default.normal"),
    (headers.DUE, b"%d" % DUE),
]
_jobs: dict[str, Any] = {
    "job_id": st.text("abc-0123", min_size=1, max_size=9),
    "job_type": st.sampled_from(["mail", "größe"]),
    "source": st.just("/headrace/shop"),
    "created": st.integers(0, 2**41),
    "lane": st.just("shop.default.normal"),
    "attempt": st.integers(1, 9),
    "step": st.integers(0, 99),
    "generation": st.integers(0, 2),
    "tenant": st.sampled_from([None, "acme"]),
    "expires": st.none() | st.integers(0, 2**41),
    "due": st.integers(0, 2**41),
    "dedup_key": st.sampled_from([None, "k"]),
    "history": st.sampled_from([(), (PastAttempt(1, 5, "ValueError", "é"),)]),
    "extra": st.sampled_from([(), (("traceparent", b"00-1"),)]),
    "supersedes": st.sampled_from([None, "s"]),
    "content_type": st.sampled_from([headers.AVRO, "application/json"]),
}


def moved(read: WaitingHeaders) -> Given:
    return waiting_headers.following(read.job_id, read.created, read.due or 0, read.alike)


def said(found: Given) -> JobHeaders:
    return decode(found, lane="", timestamp=5)


@given(st.builds(JobHeaders, **_jobs))
def test_what_moves_on_says_what_it_said_a_step_further(job: JobHeaders) -> None:
    read = waiting_headers.read(job.encode(), timestamp=5)
    assert waiting_headers.job_of(read.job_id, read.created, job.due or 0, read.alike) == job
    assert said(moved(read)) == job.next_step(due=job.due)


def test_what_a_producer_wrote_is_read_by_the_short_way_after_each_move_too() -> None:
    found = SUBMITTED
    for step in range(4):
        assert headers.as_submitted(found) is not None
        assert said(found).step == step
        found = [*moved(waiting_headers.read(found, timestamp=5)), (headers.HOPPED, b"7")]


def test_thousands_of_records_share_what_they_say_alike() -> None:
    another = [(headers.ID, b"0200"), (headers.TIME, b"2026-11-22T10:00:01Z"), *SUBMITTED[2:]]
    one, two = (waiting_headers.read(each, timestamp=5) for each in (SUBMITTED, another))
    assert one.alike is two.alike
    assert one.alike.following is two.alike.following


def test_what_a_record_says_alone_counts_as_its_memory() -> None:
    past = headers.PastAttempt(1, 5, "ValueError", "x" * 400)
    job = headers.decode(SUBMITTED, lane="", timestamp=5)
    alone = waiting_headers.of_job(job._replace(history=(past, past))).alike
    assert waiting_headers.read(SUBMITTED, timestamp=5).alike.own == 0
    assert alone.own > 2 * 400


@pytest.mark.parametrize("history", [b"[1]", b"[{}]", b'{"a":1}', b"[" * 100_000])
def test_a_history_that_no_one_can_read_is_refused_in_any_place(history: bytes) -> None:
    found = [*SUBMITTED[:8], (headers.HISTORY, history)]
    with pytest.raises(InvalidHeadersError):
        waiting_headers.read(found, timestamp=5)


def test_a_record_without_a_time_keeps_that_of_its_first_append() -> None:
    read = waiting_headers.read([each for each in SUBMITTED if each[1] != TIME], timestamp=5)
    assert said(moved(read)).created == 5


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, b""), (0, None), (0, b"\xff"), (1, b"soon"), (1, b"\xff"), (1, b"2026-01-01"), (9, b"-1")],
)
def test_what_no_lane_could_read_is_refused_here(place: int, value: bytes | None) -> None:
    found = list(SUBMITTED)
    found[place] = (found[place][0], value)
    with pytest.raises(InvalidHeadersError):
        said(found)
    with pytest.raises(InvalidHeadersError):
        waiting_headers.read(found, timestamp=5)
