"""The life of a job in a worker, without a broker: received, admitted, settled."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.consumers import execution
from headrace.consumers.execution import NEARLY_DUE, receive, settle
from headrace.consumers.outcomes import (
    Attempted,
    Died,
    Failed,
    GiveBack,
    HoldHere,
    Interrupted,
    Rejected,
    Snoozed,
    Succeeded,
    Unavailable,
    UnknownToWorker,
    error_info,
)
from headrace.consumers.recent import RecentJobs
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.settled import HandOver, Rules, Settled
from headrace.pipeline import Lane, Pipeline, Retry
from headrace.schemas import headers
from headrace.schemas.headers import JobHeaders
from headrace.schemas.transitions import encode_batch

NOW = 1_700_000_000_000
LANE = Lane("shop", "default", "high")
shop = Pipeline("shop")


@shop.job("a.b", retry=Retry(max_attempts=1_000, jitter=0), timeout=timedelta(seconds=9))
def handler(number: int) -> int:
    return number


unhandled = shop.declare("no.handler", dataclasses.make_dataclass("None_", [("number", int)]))
PAYLOAD = handler.arguments.encode({"number": 3})
RULES = Rules(LANE, shop.topology, shop.job_types, "worker-1")
Headers = list[tuple[str, bytes | None]]


class FakeMessage:
    """As much of a consumed message as the receiver looks at."""

    def __init__(self, given: Headers | None, payload: bytes | None, key: bytes | None) -> None:
        self._headers, self._payload, self._key = given, payload, key
        self._offset = 40

    def headers(self) -> Headers | None:
        return self._headers

    def value(self) -> bytes | None:
        return self._payload

    def key(self) -> bytes | None:
        return self._key

    def timestamp(self) -> tuple[int, int]:
        return 1, NOW - 5

    def partition(self) -> int:
        return 2

    def offset(self) -> int:
        return self._offset


def good(**changes: Any) -> JobHeaders:
    job = JobHeaders("j1", "a.b", "/headrace/shop", NOW - 1_000, LANE.topic)
    return job._replace(**changes)


def received(
    given: JobHeaders | Headers | None,
    payload: bytes | None = PAYLOAD,
    key: bytes | None = b"k",
    *,
    recent: RecentJobs | None = None,
    offset: int = 40,
    rules: Rules = RULES,
) -> JobRecord | Settled:
    encoded = given.encode() if isinstance(given, JobHeaders) else given
    message: Any = FakeMessage(encoded, payload, key)
    message._offset = offset
    assignment = Assignment(LANE.topic, 2, 1)
    return receive(message, assignment, rules, recent or RecentJobs(), NOW)


def settled(given: JobHeaders | Headers | None, **more: Any) -> Settled:
    found = received(given, **more)
    assert isinstance(found, Settled)
    return found


def admitted(given: JobHeaders | Headers | None, **more: Any) -> JobRecord:
    found = received(given, **more)
    assert isinstance(found, JobRecord)
    return found


def handed_over(found: object) -> tuple[HandOver, JobHeaders, dict[str, bytes | None]]:
    """The record that a settled job left behind, and what its headers say."""
    assert isinstance(found, Settled)
    handover = found.handover
    assert handover is not None
    job = headers.decode(handover.headers, lane=handover.topic, timestamp=NOW)
    return handover, job, dict(handover.headers)


def state_of(found: object) -> str:
    assert isinstance(found, Settled)
    assert found.transition is not None
    encode_batch([found.transition])
    return found.transition.state


# -- received --------------------------------------------------------------------------------------


def test_a_good_record_is_a_job_to_run_with_its_types_timeout() -> None:
    record = admitted(good())
    assert (record.headers.job_id, record.payload, record.key) == ("j1", PAYLOAD, b"k")
    assert (record.partition, record.offset, record.timeout) == (2, 40, 9.0)


def test_a_type_without_a_timeout_takes_the_workers() -> None:
    @shop.job("c.d")
    def other() -> None: ...

    assert admitted(good(job_type="c.d")).timeout == 300.0


FOREIGN: list[Headers | None] = [
    None,
    [],
    [("some", b"header")],
    [("ce_id", b"1")],
    [("ce_type", b"a.b")],
    [("ce_id", b""), ("ce_type", b"a.b")],
    [("ce_id", None), ("ce_type", None)],
    [("ce_id", b"\xff"), ("ce_type", b"a.b")],
    [("ce_id", b"1"), ("ce_type", b"a.b"), ("ce_time", b"yesterday")],
    [("ce_id", b"1"), ("ce_type", b"a.b"), ("headrace-attempt", b"many")],
    [("ce_id", b"1"), ("ce_type", b"a.b"), ("headrace-history", b"{")],
]


@pytest.mark.parametrize("given", FOREIGN)
def test_a_record_that_is_no_job_is_buried_with_its_bytes_key_and_headers(
    given: Headers | None,
) -> None:
    found = settled(given, payload=b"\x00raw", key=None)
    handover = found.handover
    assert handover is not None
    assert (handover.kind, handover.topic) == ("dead", "shop.default.dlq")
    assert (handover.value, handover.key) == (b"\x00raw", None)
    assert handover.headers[: len(given or [])] == (given or [])
    added = dict(handover.headers)
    assert added[headers.REASON] == b"undecodable"
    assert added[headers.ORIGIN] == b"shop.default.high/2/40"
    assert state_of(found) == "dead"


@pytest.mark.parametrize("name", ["no.such", "no.handler"])
def test_a_job_that_this_worker_cannot_run_goes_round_uncounted(name: str) -> None:
    found = settled(good(job_type=name, attempt=2))
    handover, job, _ = handed_over(found)
    assert (handover.kind, handover.topic, handover.value) == ("wait", "shop.delay.soon", PAYLOAD)
    assert (job.attempt, job.step, job.due) == (2, 1, NOW + 10_000)
    assert state_of(found) == "retrying"


def test_a_job_that_nobody_knows_is_buried_after_the_grace_however_old_it_was_before() -> None:
    rules = dataclasses.replace(RULES, grace=timedelta(seconds=60))
    job = good(job_type="no.such", created=NOW - 86_400_000, step=9)
    _, job, _ = handed_over(settled(job, rules=rules))
    assert [past.error_type for past in job.history] == ["UnknownJobType"]
    _, again, _ = handed_over(settled(job._replace(due=None), rules=rules))
    assert again.history == job.history
    old = [dataclasses.replace(past, at=NOW - 60_000) for past in again.history]
    found = settled(again._replace(due=None, history=tuple(old)), rules=rules)
    _, _, added = handed_over(found)
    assert added[headers.REASON] == b"unknown-type"
    assert state_of(found) == "dead"


# -- admitted --------------------------------------------------------------------------------------


def test_a_job_that_is_not_due_goes_to_the_tiers_and_is_not_run() -> None:
    due = NOW + NEARLY_DUE + 1
    found = settled(good(due=due))
    handover, job, _ = handed_over(found)
    assert (handover.topic, job.due, job.attempt) == ("shop.delay.soon", due, 1)
    assert state_of(found) == "delayed"


def test_a_job_that_is_nearly_due_stays_on_its_lane() -> None:
    assert admitted(good(due=NOW + NEARLY_DUE)).headers.due == NOW + NEARLY_DUE


def test_a_job_that_is_due_now_runs() -> None:
    assert admitted(good(due=NOW)).headers.due == NOW


@pytest.mark.parametrize(
    ("wait", "tier"),
    [(10, "soon"), (11, "5s"), (30, "20s"), (159, "1m"), (160, "2m"), (9_600, "2h"), (9**6, "24h")],
)
def test_a_wait_enters_the_largest_tier_that_is_over_well_in_time(wait: int, tier: str) -> None:
    handover, _, _ = handed_over(settled(good(due=NOW + wait * 1_000)))
    assert handover.topic == f"shop.delay.{tier}"


def test_an_expired_job_ends_without_being_run_or_handed_over() -> None:
    found = settled(good(expires=NOW))
    assert found.handover is None
    assert state_of(found) == "expired"
    assert isinstance(received(good(expires=NOW + 1)), JobRecord)


def test_a_record_written_twice_runs_once() -> None:
    recent = RecentJobs()
    assert isinstance(received(good(step=1), recent=recent, offset=40), JobRecord)
    assert state_of(received(good(step=1), recent=recent, offset=41)) == "duplicate"


def test_a_record_read_again_after_a_rebalance_is_no_duplicate_of_itself() -> None:
    recent = RecentJobs()
    for _ in range(2):
        assert isinstance(received(good(step=1), recent=recent, offset=40), JobRecord)


def test_the_next_step_and_the_next_replay_of_a_job_are_no_duplicates() -> None:
    recent = RecentJobs()
    for offset, job in enumerate([good(step=1), good(step=2), good(step=1, generation=1)]):
        assert isinstance(received(job, recent=recent, offset=offset), JobRecord)


# -- settled ---------------------------------------------------------------------------------------

ERROR = error_info(ValueError("no such thing"))


def settle_as(outcome: Any, job: JobHeaders | None = None) -> Any:
    return settle(admitted(job or good()), Attempted(outcome, NOW - 250, NOW), RULES)


def test_a_success_hands_nothing_over_and_keeps_its_result_and_times() -> None:
    found = settle_as(Succeeded(b"result"))
    assert found.handover is None
    assert state_of(found) == "succeeded"
    assert found.transition.result == b"result"
    assert (found.transition.started, found.transition.ended) == (NOW - 250, NOW)
    assert found.seconds == 0.25


def test_a_failure_goes_to_the_tiers_with_the_next_attempt_and_the_original_bytes() -> None:
    found = settle_as(Failed(ERROR), good(tenant="acme", extra=(("traceparent", b"00-1"),)))
    handover, job, _ = handed_over(found)
    assert (handover.kind, handover.key, handover.value) == ("retry", b"k", PAYLOAD)
    assert (job.attempt, job.step, job.due) == (2, 1, NOW + 1_000)
    assert (job.tenant, job.extra, job.lane) == ("acme", (("traceparent", b"00-1"),), LANE.topic)
    assert [past.error_message for past in job.history] == ["no such thing"]
    assert state_of(found) == "retrying"
    assert found.transition.step == 1


def test_a_snooze_is_no_attempt_and_leaves_no_trace_in_the_history() -> None:
    _, job, _ = handed_over(settle_as(Snoozed(timedelta(seconds=5))))
    assert (job.attempt, job.step, job.history) == (1, 1, ())


def test_a_dead_letter_says_why_when_and_where() -> None:
    found = settle_as(Rejected(ERROR))
    handover, job, added = handed_over(found)
    assert (handover.kind, handover.topic) == ("dead", "shop.default.dlq")
    assert added[headers.REASON] == b"rejected"
    assert added[headers.DIED] == b"%d" % NOW
    assert added[headers.ERROR_TYPE] == b"ValueError"
    assert added[headers.ERROR_MESSAGE] == b"no such thing"
    assert added[headers.ORIGIN] == b"shop.default.high/2/40"
    assert added[headers.WORKER] == b"worker-1"
    assert (job.job_id, job.attempt, len(job.history)) == ("j1", 1, 1)


def test_what_is_held_or_given_back_settles_nothing() -> None:
    assert settle_as(Unavailable(ERROR)) == HoldHere(ERROR)
    assert settle_as(Interrupted()) == GiveBack()


def test_a_job_that_still_runs_is_announced_and_not_finished() -> None:
    found = execution.announce(admitted(good()), RULES, NOW - 500)
    assert found.announcement
    assert found.handover is None
    assert state_of(found) == "running"


def test_headers_stay_small_through_hundreds_of_retries() -> None:
    job, sizes = good(), []
    error = error_info(ValueError("x" * 5_000))
    for attempt in range(1, 301):
        _, job, raw = handed_over(settle_as(Failed(error), job))
        assert (job.attempt, job.step) == (attempt + 1, attempt)
        sizes.append(sum(len(name) + len(value or b"") for name, value in raw.items()))
        job = job._replace(due=None)
    assert len(job.history) == headers.MAX_HISTORY
    assert job.history[-1].attempt == 300
    assert max(sizes) < 8_000
    assert sizes[-1] - sizes[20] < 200  # only numbers have grown


def test_a_message_of_any_characters_can_be_handed_over() -> None:
    error = error_info(ValueError("\udcff \x00 🌊"))
    _, job, _ = handed_over(settle_as(Failed(error)))
    assert job.history[0].error_message == "? \x00 🌊"


# -- whatever a foreign producer writes ------------------------------------------------------------

numbers = st.integers(-(10**30), 10**30).map(lambda n: b"%d" % n)
times = st.sampled_from(
    [b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00Z", b"2026-01-01", b"", b"2026-01-01T00:00:00"]
)
histories = st.sampled_from(
    [
        b"[]",
        b"null",
        b"3",
        b"[3]",
        b'{"attempt": 1}',
        b'[{"attempt": 1, "at": 1e400, "error": "E", "message": "m"}]',
        b'[{"attempt": 1, "at": 2, "error": "\\ud800", "message": "\\udfff"}]',
        json.dumps([{"attempt": 10**30, "at": -5, "error": None, "message": []}]).encode(),
        json.dumps([{"attempt": 1, "at": 1, "error": "E" * 200, "message": "m"}] * 90).encode(),
        b"[" * 20_000,
    ]
)
junk = st.one_of(st.none(), st.binary(max_size=20), numbers, times, histories)
names = st.sampled_from([*sorted(headers._OWN), "traceparent", "", "x"])


@given(
    given=st.lists(st.tuples(names, junk), max_size=8),
    payload=st.one_of(st.none(), st.just(PAYLOAD), st.binary(max_size=9)),
    key=st.one_of(st.none(), st.binary(max_size=9)),
    outcome=st.sampled_from(
        [Succeeded(), Failed(ERROR), Died("SIGKILL"), Rejected(ERROR), UnknownToWorker(ERROR)]
    ),
)
def test_no_record_of_whatever_origin_stops_a_lane(
    given: Headers, payload: bytes | None, key: bytes | None, outcome: Any
) -> None:
    found: object = received([("ce_id", b"1"), ("ce_type", b"a.b"), *given], payload, key)
    if isinstance(found, JobRecord):
        state_of(execution.announce(found, RULES, NOW))
        found = settle(found, Attempted(outcome, NOW, NOW), RULES)
    assert state_of(found)
    if isinstance(found, Settled) and found.handover is not None:
        handover = found.handover
        assert sum(len(name) + len(value or b"") for name, value in handover.headers) < 500_000
        json.dumps(handover.topic)
