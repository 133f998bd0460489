"""What is known of schedules, folded from records: no Kafka.

What can go wrong: what fell into a pause fires when it ends; a scheduler that slept takes its
successor's progress back; one unreadable record takes the others along.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.pipeline import DeclarationError, Misfire, Overlap, Pipeline
from headrace.pipeline.schedules import Schedule, records
from headrace.pipeline.schedules.book import Entry, ScheduleBook
from headrace.pipeline.schedules.records import Pause, ScheduleState
from headrace.pipeline.schedules.schedule import NamedJob
from headrace.pipeline.schedules.timing import Every, make_timing
from headrace.processors.schedules import ScheduleView

MINUTE = 60_000
NOON = 20_000 * 86_400_000 + 720 * MINUTE
EVERY_MINUTE = Schedule(
    "m", Every(timedelta(minutes=1)), NamedJob("j", {}), Misfire.catch_up(100), added=1
)
TIMING = records.digest(EVERY_MINUTE.timing)


def entry(handled: int, pause: Pause | None = None) -> Entry:
    return Entry(EVERY_MINUTE, True, ScheduleState(handled, TIMING), pause)


def book(**found: Any) -> ScheduleBook:
    made = ScheduleBook({})
    made.take(b"managed/m", json.dumps(records.described(EVERY_MINUTE)).encode())
    for kind, value in found.items():
        made.take(f"{kind}/m".encode(), json.dumps(asdict(value)).encode())
    return made


def test_what_is_due_before_a_pause_fires_and_what_falls_into_it_does_not() -> None:
    paused = entry(NOON, Pause(NOON + MINUTE + 1))
    due = paused.due_now(NOON, NOON + 5 * MINUTE)
    assert due is not None
    assert due.fires == (NOON + MINUTE,)
    assert paused.due_now(NOON + MINUTE, NOON + 9 * MINUTE) is None
    assert paused.next_fire(NOON + MINUTE) is None


def test_after_a_pause_it_goes_on_with_what_comes_then() -> None:
    resumed = entry(NOON, Pause(NOON + MINUTE, NOON + 5 * MINUTE + 1))
    assert resumed.next_fire(NOON) == NOON + 6 * MINUTE
    assert resumed.due_now(NOON, NOON + 6 * MINUTE - 1) is None
    due = resumed.due_now(NOON, NOON + 7 * MINUTE)
    assert due is not None
    assert due.fires == (NOON + 6 * MINUTE, NOON + 7 * MINUTE)
    assert resumed.passed_pause(NOON) == NOON + 5 * MINUTE + 1
    assert resumed.passed_pause(NOON - MINUTE) is None, "a fire before the pause is to be fired"


def test_progress_is_not_taken_back_by_a_scheduler_that_slept() -> None:
    found = book(state=ScheduleState(NOON + MINUTE, TIMING, by="new"))
    found.take(b"state/m", json.dumps(asdict(ScheduleState(NOON, TIMING, by="old"))).encode())
    known = found.entry("m")
    assert known is not None
    assert known.begins == NOON + MINUTE


def test_another_timing_begins_anew() -> None:
    state = ScheduleState(NOON, "another timing")
    known = book(state=state).entry("m")
    assert known is not None
    assert known.begins == EVERY_MINUTE.added


def test_one_that_was_never_seen_begins_nowhere() -> None:
    made = Entry(Schedule("m", EVERY_MINUTE.timing, NamedJob("j", {})), False)
    assert made.begins is None
    assert ScheduleView(made, NOON).standing == "new"


def test_an_unreadable_record_is_told_of_and_the_others_stay() -> None:
    found = book()
    found.take(b"managed/bad", b'{"cron": "0 0 30 2 *", "job_type": "j", "arguments": {}}')
    found.take(b"managed/worse", b"no json")
    found.take(b"foreign", b"no json")
    assert [each.schedule.name for each in found.entries()] == ["m"]
    assert "never fires" in found.problems["bad"]
    assert set(found.problems) == {"bad", "worse"}
    found.take(b"managed/bad", None)
    assert set(found.problems) == {"worse"}


def test_a_schedule_comes_back_from_its_record_as_it_was() -> None:
    made = Schedule(
        "report",
        make_timing("0 3 * * *", None, None, "Europe/Berlin"),
        NamedJob("report.make", {"days": 7}),
        Misfire.catch_up(3, grace=timedelta(seconds=90)),
        Overlap.CANCEL_OLD,
        timedelta(minutes=5),
        "high",
        "k",
        "acme",
        timedelta(hours=1),
        17,
        "ada",
    )
    assert records.schedule_from("report", records.described(made)) == made


@pytest.mark.parametrize(
    ("at", "standing"),
    [(NOON + MINUTE - 1, "active"), (NOON + 2 * MINUTE, "overdue")],
)
def test_a_fire_that_nobody_fires_shows(at: int, standing: str) -> None:
    assert ScheduleView(entry(NOON), at).standing == standing


def test_the_next_fires_are_shown_by_the_clocks_of_the_schedules_zone() -> None:
    timing = make_timing("30 2 * * *", None, None, "Europe/Berlin")
    at = round(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp() * 1000)
    view = ScheduleView(Entry(Schedule("n", timing, NamedJob("j", {}), added=1), True), at)
    assert [view.local(fire) for fire in view.upcoming(2)] == [
        "2026-03-29 03:00:00+02:00",
        "2026-03-30 02:30:00+02:00",
    ]


def pipeline() -> Pipeline:
    made = Pipeline("shop")

    @made.job("report.make")
    def report(days: int) -> None: ...

    return made


def test_a_declaration_that_cannot_be_meant_names_the_schedule() -> None:
    shop = pipeline()
    work = shop.job_type("report.make").job(days=7)
    shop.schedule("nightly", work, cron="@daily")
    wrong: dict[str, dict[str, Any]] = {
        "the name is taken": {"cron": "@daily"},
        "never fires": {"cron": "0 0 30 2 *"},
        "no priority": {"cron": "@daily", "priority": "urgent"},
        "shorter than the time between": {"cron": "@daily", "jitter": timedelta(days=1)},
        "overlap": {"cron": "@daily", "overlap": "never"},
    }
    for said, given in wrong.items():
        with pytest.raises(DeclarationError, match=f"schedule 'nightly': .*{said}"):
            shop.schedule("nightly", work, **given)


def test_a_job_of_another_pipeline_is_refused() -> None:
    foreign = pipeline().job_type("report.make").job(days=7)
    with pytest.raises(DeclarationError, match="not declared by this pipeline"):
        pipeline().schedule("nightly", foreign, cron="@daily")
