"""The dedup window's judgement: each case of decision record 12, without a broker.

What can go wrong: two submissions of one key run within the window; or, worse, neither does. So
most of what follows is about what must not be dropped.
"""

from collections import OrderedDict
from datetime import timedelta

from headrace.consumers.dedup.first import Change, Firsts, Verdict, came_back, marked
from headrace.consumers.dedup.notes import Note, Span, decode, name_of
from headrace.schemas import headers
from headrace.schemas.headers import JobHeaders
from headrace.schemas.states import JobState

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_700_000_000_000
SPAN = Span.of(timedelta(hours=24))
A = JobHeaders("id", "work", "", created=NOW - 5, lane="lane", dedup_key="k")
B = A._replace(created=NOW + 1_000)
RUNS, FIRST, DUPLICATE = Verdict.RUNS, Verdict.FIRST, Verdict.DUPLICATE
SUCCEEDED, RETRYING, DEAD = JobState.SUCCEEDED, JobState.RETRYING, JobState.DEAD


class Owner:
    """The owner of partition 0, with a topic that keeps what it stored."""

    def __init__(self, stored: dict[str, Note] | None = None, most: int = 1_000) -> None:
        self.stored: dict[str, Note] = dict(stored or {})
        self.firsts = Firsts(SPAN, most)
        self.firsts.adopt(0, OrderedDict(self.stored))
        self._offset = 0

    def sees(self, job: JobHeaders, now: int = NOW, offset: int | None = None) -> Verdict:
        self._offset = self._offset + 1 if offset is None else offset
        verdict = self.firsts.judge(0, self._offset, job, now)
        if verdict is FIRST:
            self._store(self.firsts.note(0, job))
        return verdict

    def ended(
        self,
        job: JobHeaders,
        state: JobState,
        offset: int = 1,
        due: int = 0,
        now: int = NOW,
        *,
        recorded: bool = True,
    ) -> Change | None:
        change = self.firsts.ended(0, job, state.value, due, now)
        if change is not None:
            self._store(change)
        if recorded:
            self.firsts.left(0, offset, job, now)
        return change

    def ran(self, job: JobHeaders, now: int = NOW) -> Verdict:
        verdict = self.sees(job, now)
        self.ended(job, SUCCEEDED, self._offset, now=now)
        return verdict

    def successor(self) -> "Owner":
        """Another worker that has read the topic."""
        return Owner(self.stored)

    def _store(self, change: Change) -> None:
        self.stored.pop(change.name, None)
        if change.note is not None:
            self.stored[change.name] = change.note


def test_a_second_submission_within_the_window_is_a_duplicate() -> None:
    owner = Owner()
    assert owner.ran(A) is FIRST
    assert owner.sees(B, NOW + DAY - 1) is DUPLICATE
    assert owner.sees(B._replace(step=4), NOW + DAY - 1) is DUPLICATE  # it was delayed


def test_after_the_window_a_submission_is_the_first_again() -> None:
    owner = Owner()
    assert owner.ran(A) is FIRST
    assert owner.sees(B, NOW + DAY) is FIRST
    assert owner.sees(A._replace(created=B.created + 1), NOW + DAY + 1) is DUPLICATE


def test_whichever_reaches_the_lane_first_runs_whenever_it_was_submitted() -> None:
    """Both were delayed, and the second was due first."""
    owner = Owner()
    assert owner.ran(B._replace(step=1)) is FIRST
    assert owner.sees(A._replace(step=3), NOW + HOUR) is DUPLICATE


def test_a_job_without_an_outcome_yet_is_live_however_long_it_takes() -> None:
    owner = Owner()
    assert owner.sees(A) is FIRST
    assert owner.sees(B, NOW + 3 * DAY) is DUPLICATE


def test_the_record_of_the_first_runs_again_after_a_crash() -> None:
    """Its note was stored, its offset was not committed, whether it had run or not."""
    owner = Owner()
    assert owner.sees(A, offset=7) is FIRST
    after = owner.successor()
    assert after.sees(A, NOW + 10, offset=7) is RUNS
    assert after.sees(B, NOW + 20, offset=8) is DUPLICATE


def test_the_record_of_the_first_runs_after_a_crash_though_its_window_is_over() -> None:
    owner = Owner()
    assert owner.sees(A, offset=7) is FIRST
    assert owner.successor().sees(A, NOW + 3 * DAY, offset=7) is RUNS


def test_a_crash_before_the_note_was_stored_changes_nothing_for_either() -> None:
    owner = Owner()
    owner.sees(A, offset=7)
    owner.sees(B, offset=8)
    after = Owner()  # nothing was stored, and neither was committed
    assert after.sees(A, offset=7) is FIRST
    assert after.sees(B, offset=8) is DUPLICATE


def test_a_new_owner_knows_what_came_before() -> None:
    owner = Owner()
    owner.ran(A)
    assert owner.successor().sees(B, NOW + HOUR) is DUPLICATE


def test_a_retry_runs_and_so_does_every_later_one() -> None:
    owner = Owner()
    owner.sees(A)
    owner.ended(A, RETRYING, due=NOW + 10)
    retry = marked(A)._replace(step=2, attempt=2)
    assert owner.sees(retry, NOW + 10) is RUNS
    assert owner.sees(B, NOW + 20) is DUPLICATE
    assert owner.successor().sees(retry._replace(step=4, attempt=3), NOW + 30) is RUNS


def test_a_snoozed_job_runs_again_though_another_submission_took_its_place_meanwhile() -> None:
    """Its note was lost: forgotten, or older than the topic keeps. Both run, rather than none."""
    snoozed = marked(A)._replace(step=2)
    assert snoozed.attempt == 1
    owner = Owner()
    assert owner.ran(B) is FIRST
    assert owner.sees(snoozed, NOW + 10) is RUNS


def test_the_mark_travels_in_the_headers_of_every_record_written_from_the_job() -> None:
    written = marked(marked(A)).next_step(due=NOW + 5).encode()
    assert [name for name, _ in written].count(headers.FIRST) == 1
    assert came_back(headers.decode(written, lane="lane", timestamp=NOW))
    assert not came_back(headers.decode(A.encode(), lane="lane", timestamp=NOW))


def test_a_job_that_is_retried_beyond_its_window_stays_live_until_it_has_come() -> None:
    owner = Owner()
    owner.sees(A)
    due = NOW + DAY + 2 * HOUR
    change = owner.ended(A, RETRYING, due=due)
    assert change is not None
    assert owner.sees(B, due + HOUR - 1) is DUPLICATE  # the scheduler is late
    after = owner.successor()
    assert after.sees(B, due + HOUR - 1) is DUPLICATE
    assert after.sees(B, due + HOUR) is FIRST  # very late: rather twice
    assert after.sees(marked(A)._replace(step=2, attempt=2), due + 2 * HOUR) is RUNS


def test_a_retry_whose_hand_over_is_refused_for_hours_is_live_all_the_while() -> None:
    owner = Owner()
    owner.sees(A)
    owner.ended(A, RETRYING, due=NOW + DAY, recorded=False)
    recorded = NOW + 3 * DAY
    assert owner.sees(B, recorded) is DUPLICATE
    owner.firsts.left(0, 1, A, recorded)
    assert owner.sees(B, recorded + HOUR - 1) is DUPLICATE
    assert owner.sees(marked(A)._replace(step=2, attempt=2), recorded + HOUR) is RUNS


def test_a_retry_well_within_the_window_needs_no_other_note() -> None:
    owner = Owner()
    owner.sees(A)
    assert owner.ended(A, RETRYING, due=NOW + HOUR) is None


def test_a_replay_runs_and_is_live_while_it_does_but_opens_no_window() -> None:
    owner = Owner()
    owner.sees(A)
    owner.ended(A, DEAD, now=NOW)
    replay = A._replace(generation=1)
    assert owner.sees(B, NOW + HOUR) is DUPLICATE  # replaying is what dead jobs need
    assert owner.sees(replay, NOW + 2 * DAY, offset=50) is RUNS
    assert owner.sees(B, NOW + 2 * DAY) is DUPLICATE
    owner.ended(replay, SUCCEEDED, 50, now=NOW + 2 * DAY)
    assert owner.sees(B, NOW + 2 * DAY) is FIRST


def test_a_replay_that_is_retried_is_live_while_it_waits() -> None:
    owner = Owner()
    replay = A._replace(generation=1)
    due = NOW + 3 * DAY
    owner.sees(replay, NOW + 2 * DAY)
    assert owner.ended(replay, RETRYING, due=due, now=NOW + 2 * DAY) is not None
    assert owner.sees(B, due - 1) is DUPLICATE


def test_a_job_that_expired_or_was_cancelled_leaves_its_key_to_the_next() -> None:
    for state in (JobState.EXPIRED, JobState.CANCELLED):
        owner = Owner()
        owner.sees(A)
        owner.ended(A, state)
        assert owner.successor().sees(B) is FIRST
        assert owner.sees(B) is FIRST


def test_what_expires_of_another_submission_takes_no_note_back() -> None:
    owner = Owner()
    owner.ran(A)
    assert owner.ended(B, JobState.EXPIRED, offset=9) is None
    assert owner.sees(B) is DUPLICATE


def test_two_records_of_one_submission_are_not_told_apart_here() -> None:
    """A release or a schedule's fire that was written twice: `RecentJobs` drops the second."""
    owner = Owner()
    assert owner.sees(A, offset=1) is FIRST
    assert owner.sees(A, offset=2) is RUNS


def test_partitions_and_keys_are_told_apart() -> None:
    owner = Owner()
    owner.ran(A)
    assert owner.sees(B._replace(job_id="other")) is FIRST
    assert owner.firsts.judge(1, 1, B, NOW) is FIRST
    owner.firsts.forget(0)
    assert owner.sees(B) is FIRST


def test_memory_is_bounded_and_says_what_it_forgot() -> None:
    owner = Owner(most=10)
    for number in range(30):
        owner.ran(A._replace(job_id=str(number)))
    assert (owner.firsts.count, owner.firsts.forgotten) == (10, 20)
    assert owner.sees(B._replace(job_id="29")) is DUPLICATE
    assert owner.sees(B._replace(job_id="3")) is FIRST
    owner.firsts.adopt(1, OrderedDict((str(n), Note(1, NOW)) for n in range(10)))
    assert owner.firsts.count == 10


def test_what_is_over_makes_room_without_counting_as_forgotten() -> None:
    owner = Owner(most=10)
    for number in range(100):
        owner.ran(A._replace(job_id=str(number)), NOW + number * 5 * HOUR)
    assert owner.firsts.forgotten == 0
    assert owner.firsts.count <= 10


def test_a_note_is_read_as_it_was_written_and_nothing_else_is() -> None:
    for note in (Note(1, 2), Note(1, 2, 3)):
        assert decode(note.encode()) == note
    for junk in (b"", b"[]", b"{}", b'{"created":"x","first":1}', b"\xff", b'{"created":1e999}'):
        assert decode(junk) is None


def test_a_foreign_id_of_any_length_has_a_short_name_of_its_own() -> None:
    names = {name_of("x" * length) for length in range(1, 2_000, 7)}
    assert len(names) == len(range(1, 2_000, 7))
    assert max(map(len, names)) <= 128
