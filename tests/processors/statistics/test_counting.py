"""Counting without Kafka: what comes out must not depend on crashes, batches or repetition.

`recount` is the plain way: look at every transition there is, once.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.processors.statistics import book as books
from headrace.processors.statistics.book import MOST_CELLS, OTHER, Book
from headrace.processors.statistics.figures import Cell, Figures
from headrace.processors.statistics.windows import FIVE_MINUTES, HOUR, MINUTE, WINDOWS
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

LANE = "shop.default.normal"
NOW = 1_700_000_035_000
"""Half-way through a minute and through ten seconds."""
Batch = Sequence[Transition]


def told(offset: int, state: str = "succeeded", **changes: Any) -> Transition:
    fields: dict[str, Any] = {
        "job_id": f"job-{offset}",
        "job_type": "work",
        "lane": LANE,
        "partition": 0,
        "attempt": 1,
        "step": 0,
        "generation": 0,
        "time": NOW,
        "created": NOW - 300,
        "worker": "w",
        "started": NOW - 200,
        "ended": NOW,
    }
    return Transition(state=state, offset=offset, **(fields | changes))


def new_book(*tenants: str, ordered: bool = False) -> Book:
    return Book(0, tenants, lambda _: ordered)


def counted(book: Book, at: int = NOW, window: Any = HOUR, cell: Cell | None = None) -> Figures:
    total = Figures()
    for each in book.rows.cells if cell is None else [cell]:
        total.merge(window.of(book.rows, each, at))
    return total


def counts(book: Book, **where: Any) -> dict[str, int]:
    return counted(book, **where).counts


# -- what counts as what ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transition", "expected"),
    [
        (told(1), {"started", "succeeded"}),
        (told(1, "retrying", error_type="ValueError"), {"started", "failed", "retried"}),
        (told(1, "retrying"), {"started", "snoozed"}),
        (told(1, "dead", error_type="ValueError"), {"started", "failed", "dead"}),
        (told(1, "dead", started=None, ended=None), {"failed", "dead"}),
        (told(1, "cancelled", started=None, ended=None), {"cancelled"}),
        (told(1, "expired", started=None, ended=None), {"expired"}),
        (told(1, "duplicate", started=None, ended=None), {"duplicate"}),
        (told(1, "running", ended=None), {"started"}),
        (told(1, "delayed", started=None, ended=None), set()),
        (told(1, "a state of a later version", started=None), set()),
    ],
)
def test_each_state_counts_as_what_it_says(transition: Transition, expected: set[str]) -> None:
    book = new_book()
    book.take(0, NOW, [transition])
    assert counts(book) == dict.fromkeys(expected, 1)


def test_a_job_waits_from_its_submission_and_only_if_it_was_to_run_at_once() -> None:
    book = new_book()
    book.take(0, NOW, [told(1), told(2, step=1), told(3, generation=1)])
    found = counted(book)
    assert found.waiting.count == 1
    assert found.running.count == 3
    assert found.waiting.quantile(0.5) == pytest.approx(100, rel=0.01)
    assert found.running.quantile(0.5) == pytest.approx(200, rel=0.01)


def test_the_error_share_is_of_the_attempts_that_ended() -> None:
    book = new_book()
    failed = told(1, "retrying", error_type="ValueError")
    book.take(0, NOW, [failed, told(2), told(3), told(4), told(5, "retrying")])
    assert counted(book).error_share == 0.25
    assert Figures().error_share is None


# -- once ------------------------------------------------------------------------------------------


def test_the_outcome_of_a_record_that_two_workers_told_counts_once() -> None:
    book = new_book()
    book.take(0, NOW, [told(1), told(2)])
    book.take(1, NOW, [told(2, worker="the next owner"), told(3)])
    assert counts(book) == {"started": 3, "succeeded": 3}


def test_a_long_job_that_was_announced_has_started_once() -> None:
    book = new_book()
    book.take(0, NOW, [told(1, "running", ended=None)])
    book.take(1, NOW, [told(1, "running", ended=None)])
    book.take(2, NOW, [told(1)])
    book.take(3, NOW, [told(1, "running", ended=None)])
    assert counts(book) == {"started": 1, "succeeded": 1}


def test_attempts_in_place_of_an_ordered_queue_count_each() -> None:
    book = new_book(ordered=True)
    for step in range(3):
        book.take(step, NOW, [told(1, "retrying", step=step, error_type="E"), told(2, step=step)])
    book.take(3, NOW, [told(1, "retrying", step=2, error_type="E")])
    assert counts(book) == {"started": 6, "failed": 3, "retried": 3, "succeeded": 3}


def test_jobs_that_died_between_two_records_of_their_lane_count_each() -> None:
    book = new_book()
    nowhere = {"partition": -1, "started": None, "ended": None}
    book.take(0, NOW, [told(-1, "expired", **nowhere), told(-1, "expired", **nowhere)])
    assert counts(book) == {"expired": 2}


# -- time ------------------------------------------------------------------------------------------


def test_a_window_holds_what_happened_in_it_whenever_it_was_told() -> None:
    book = new_book()
    ages = {1: 0, 2: 50_000, 3: 70_000, 4: 290_000, 5: 310_000, 6: 3_500_000, 7: 3_700_000}
    batch = [told(offset, time=NOW - age) for offset, age in ages.items()]
    book.take(0, NOW, batch)
    found = {window.name: counts(book, window=window)["succeeded"] for window in WINDOWS}
    assert found == {"1m": 2, "5m": 4, "1h": 6}


def test_windows_go_on_without_new_transitions() -> None:
    book = new_book()
    book.take(0, NOW, [told(1)])
    later = NOW + 120_000
    assert counts(book, at=later, window=MINUTE) == {}
    assert counts(book, at=later, window=FIVE_MINUTES)["succeeded"] == 1


def test_a_worker_whose_clock_is_ahead_takes_the_place_of_nothing_that_is_to_come() -> None:
    book = new_book()
    book.take(0, NOW, [told(1, time=NOW + 86_400_000)])
    book.take(1, NOW + 1_000, [told(2, time=NOW + 1_000)])
    assert counts(book, at=NOW + 1_000)["succeeded"] == 2


def test_what_is_past_its_time_is_forgotten() -> None:
    book = new_book()
    book.take(0, NOW, [told(1)])
    assert book.rows.forget(NOW) == []
    assert len(book.rows.forget(NOW + 7_200_000)) == 2
    assert book.rows.cells == []


# -- cells -----------------------------------------------------------------------------------------


def test_only_listed_tenants_are_told_apart() -> None:
    book = new_book("acme")
    book.take(0, NOW, [told(1, tenant="acme"), told(2, tenant="other"), told(3)])
    assert counts(book, cell=Cell(LANE, "work", "acme"))["succeeded"] == 1
    assert counts(book, cell=Cell(LANE, "work"))["succeeded"] == 2


def test_made_up_job_types_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MOST_CELLS", 3)
    assert MOST_CELLS > 100
    book = new_book()
    for number in range(10):
        book.take(number, NOW, [told(number, job_type=f"type-{number}")])
    assert len(book.rows) == 4
    assert counts(book, cell=Cell(LANE, OTHER))["succeeded"] == 7


# -- crashes ---------------------------------------------------------------------------------------


def recount(batches: Iterable[Batch]) -> Counter[str]:
    """Count outcomes of records of the lane, each once, without any of the code above."""
    seen: set[tuple[int, int]] = set()
    total: Counter[str] = Counter()
    for batch in batches:
        for each in batch:
            if (each.partition, each.offset) not in seen:
                seen.add((each.partition, each.offset))
                total[each.state] += 1
    return total


@st.composite
def topics(draw: st.DrawFn) -> list[Batch]:
    """An events topic: batches over two partitions of a lane, some records told twice."""
    offsets = st.integers(0, 30)
    one = st.builds(
        lambda offset, partition, age, kind: told(
            offset, "succeeded", partition=partition, time=NOW - age * 1_000, job_type=kind
        ),
        offsets,
        st.integers(0, 1),
        st.integers(0, 300),
        st.sampled_from(["work", "mail"]),
    )
    return draw(st.lists(st.lists(one, min_size=1, max_size=6), min_size=1, max_size=8))


@given(topics(), st.data())
def test_a_crash_anywhere_in_the_writing_changes_nothing(
    topic: list[Batch], data: st.DataObject
) -> None:
    """The store has a prefix of what was written, the commit is anywhere before it."""
    stored: dict[bytes, bytes] = {}
    at = 0
    for _ in range(4):
        book = new_book()
        book.restore(stored.items())
        upto = data.draw(st.integers(at, len(topic)))
        for offset in range(at, upto):
            book.take(offset, NOW, topic[offset])
        writes = list(book.changes())
        kept = data.draw(st.integers(0, len(writes)))
        stored.update(writes[:kept])
        if kept == len(writes):
            at = data.draw(st.integers(at, upto))
    book = new_book()
    book.restore(stored.items())
    for offset in range(at, len(topic)):
        book.take(offset, NOW, topic[offset])
    assert counts(book)["succeeded"] == recount(topic)["succeeded"]
    assert counted(book).running.count == recount(topic)["succeeded"]


@given(topics())
def test_what_is_restored_is_what_was_stored(topic: list[Batch]) -> None:
    book = new_book()
    for offset, batch in enumerate(topic):
        book.take(offset, NOW, batch)
    again = new_book()
    again.restore(list(book.changes()))
    again.restore([(b'[1,"row","other","x","",10000,3]', b"{}")])
    assert counted(again).as_json() == counted(book).as_json()
    again.take(0, NOW, topic[0])
    assert counted(again).as_json() == counted(book).as_json()
    assert {JobState(state) for state in recount(topic)} == {JobState.SUCCEEDED}
