"""Retry budgets: a storm of failures turns into waiting, not into load."""

import random
from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from headrace.consumers.outcomes import (
    Bury,
    ComeBack,
    Decision,
    Finish,
    GiveBack,
    HoldHere,
    error_info,
)
from headrace.consumers.retry_budgets import RetryBook, RetryBudgets
from headrace.pipeline import RetryBudget
from headrace.pipeline.durations import to_milliseconds
from headrace.schemas.states import DeadReason, JobState

NOW = 1_700_000_000_000
MINUTE = 60_000
ERROR = error_info(ConnectionError("refused"))
BUDGET = RetryBudget(ratio=0.2, per=timedelta(minutes=1), minimum=10)
DONE = Finish(JobState.SUCCEEDED)


def failed(due: int) -> ComeBack:
    return ComeBack(due, counted=True, error=ERROR)


class Lane:
    """One lane's books, with the dues that came out."""

    def __init__(self, budget: RetryBudget = BUDGET) -> None:
        self.budgets = RetryBudgets()
        self.budget = budget
        self.dues: list[int] = []

    def judge(self, decision: Decision, now: int = NOW, job_type: str = "a.b") -> Decision:
        judged = self.budgets.judge(job_type, self.budget, decision, now)
        if isinstance(judged, ComeBack):
            self.dues.append(judged.due)
        return judged

    def fail(self, count: int, now: int = NOW, wait: int = 1_000) -> None:
        for _ in range(count):
            self.judge(failed(now + wait), now)

    @property
    def put_off(self) -> int:
        return self.budgets.put_off["a.b"]


def most_in_any(stretch: int, dues: list[int]) -> int:
    """The most retries that come within a stretch of time, wherever it begins."""
    dues, most, begin = sorted(dues), 0, 0
    for end, due in enumerate(dues):
        while dues[begin] <= due - stretch:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def test_within_the_budget_a_retry_comes_when_its_policy_says() -> None:
    lane = Lane()
    lane.fail(10)
    assert set(lane.dues) == {NOW + 1_000}
    assert lane.put_off == 0


def test_above_the_budget_retries_wait_longer_and_use_up_nothing_else() -> None:
    lane = Lane()
    lane.fail(11)
    late = lane.budgets.judge("a.b", BUDGET, failed(NOW + 1_000), NOW)
    assert isinstance(late, ComeBack)
    assert late.due > NOW + MINUTE
    assert (late.counted, late.error, late.state) == (True, ERROR, JobState.RETRYING)
    assert lane.put_off == 2


def test_attempts_that_succeed_make_room() -> None:
    lane = Lane()
    for _ in range(400):
        lane.judge(DONE)
    lane.fail(80)
    assert lane.put_off == 0
    lane.fail(40)
    assert lane.put_off > 0


def test_a_storm_from_nothing_comes_back_at_the_rate_of_the_budget() -> None:
    lane = Lane()
    lane.fail(10_000)
    assert len(lane.dues) == 10_000
    assert min(lane.dues) == NOW + 1_000
    assert most_in_any(MINUTE, lane.dues) <= 2_000 + 200, "a slot more than the budget at most"
    nearly_all = sorted(lane.dues)[9_900]
    assert 4.5 < (nearly_all - NOW) / MINUTE < 5.5, "2,000 a minute"
    assert max(lane.dues) < NOW + 10 * MINUTE


def test_a_storm_of_an_hour_keeps_within_the_budget_all_the_time() -> None:
    lane = Lane()
    for minute in range(60):
        lane.fail(500, NOW + minute * MINUTE)
    allowed = int(500 * 0.2)
    assert most_in_any(MINUTE, lane.dues) <= allowed + allowed // 10
    by_minute = Counter((due - NOW) // MINUTE for due in lane.dues)
    assert min(by_minute[minute] for minute in range(1, 60)) >= allowed // 2, "it is used, too"


def test_when_the_storm_is_over_and_worked_off_nothing_is_put_off_any_more() -> None:
    lane = Lane()
    lane.fail(100)
    before, later = lane.put_off, max(lane.dues) + MINUTE
    lane.fail(10, later)
    assert lane.put_off == before
    assert lane.dues[-10:] == [later + 1_000] * 10


def test_a_long_wait_takes_no_room_from_short_ones_nor_they_from_it() -> None:
    lane = Lane()
    lane.fail(10, wait=3_600_000)
    lane.fail(10, wait=1_000)
    assert lane.put_off == 0
    lane.fail(5, wait=30 * 86_400_000)
    assert lane.dues[-5:] == [NOW + 30 * 86_400_000] * 5


def test_each_job_type_has_a_budget_of_its_own() -> None:
    lane = Lane()
    lane.fail(50)
    assert lane.judge(failed(NOW + 1), job_type="c.d") == failed(NOW + 1)


def test_what_is_no_attempt_is_neither_counted_nor_put_off() -> None:
    lane = Lane()
    lane.fail(50)
    snoozed = ComeBack(NOW + 1_000, counted=False)
    for other in (snoozed, HoldHere(ERROR), GiveBack(), DONE, Bury(DeadReason.EXHAUSTED, ERROR)):
        assert lane.judge(other) == other


budgets = st.builds(
    RetryBudget,
    ratio=st.floats(0.01, 1),
    per=st.timedeltas(timedelta(seconds=1), timedelta(hours=1)),
    minimum=st.integers(1, 50),
)


@given(budget=budgets, seed=st.integers(), count=st.integers(1, 400))
def test_no_retry_is_early_or_dropped_and_no_stretch_of_time_has_more_than_the_budget(
    budget: RetryBudget, seed: int, count: int
) -> None:
    chance, lane, now = random.Random(seed), Lane(budget), NOW
    per = to_milliseconds(budget.per)
    wanted: list[int] = []
    for _ in range(count):
        now += chance.randrange(max(1, per // 50))
        if chance.random() < 0.3:
            lane.judge(DONE, now)
        else:
            wanted.append(now + chance.randrange(3 * per))
            lane.judge(failed(wanted[-1]), now)
    assert len(lane.dues) == len(wanted)
    assert all(due >= asked for due, asked in zip(lane.dues, wanted, strict=True))
    most = max(budget.minimum, int(count * budget.ratio))
    slots = min(10, budget.minimum)
    width = -(-per // slots)
    by_slot = Counter(due // width for due in lane.dues)
    for end in by_slot:
        assert sum(by_slot[each] for each in range(end - slots + 1, end + 1)) <= most


def test_the_books_stay_small_however_long_it_fails() -> None:
    book = RetryBook(RetryBudget(ratio=0.01, per=timedelta(seconds=1), minimum=10))
    dues = []
    for second in range(2_000):
        for _ in range(100):
            now = NOW + second * 1_000
            book.attempted(now)
            dues.append(book.book(now + 1, now))
    assert max(dues) <= NOW + 2_000_000 + 10_000 * 100, "as far ahead as books are kept"
    kept = (book._attempts, book._booked, book._sums)
    assert sum(map(len, kept)) < 25_000
