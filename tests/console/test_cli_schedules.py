"""`headrace schedules` as people and programs use it, on a real Kafka without a scheduler."""

import json
import sys
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.console.main import app
from headrace.console.output import UsageError
from headrace.pipeline import DeclarationError, Pipeline
from headrace.processors.errors import NotFoundError, ScheduleError
from headrace.schemas.errors import ArgumentError
from tests.guarantees.conftest import new_stage
from tests.support import scheduled
from tests.support.stage import Stage

pytestmark = pytest.mark.kafka
MODULE = "a_shop_with_schedules"
PAST = ("--from", "2026-03-01T00:00+00:00", "--to", "2026-03-10T00:00+00:00")


def declare(pipeline: Pipeline) -> None:
    work = pipeline.job_type("tick").job(tag="n")
    pipeline.schedule("nightly", work, cron="0 3 * * *", timezone="Europe/Berlin")


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder: Path = tmp_path_factory.mktemp("schedules")
    return new_stage(kafka, folder, module=scheduled, schedules=declare)


@pytest.fixture(autouse=True)
def importable(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(MODULE)
    module.__dict__["shop"] = stage.pipeline
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setenv("HEADRACE_PIPELINE", f"{MODULE}:shop")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", str(stage.kafka.bootstrap_servers))


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["schedules", *words], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def as_json(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def add(name: str, *words: str) -> Any:
    return as_json("add", name, "--job", "tick", "--arguments", '{"tag": "t"}', *words)


def test_a_declared_schedule_is_listed_in_plain_words_and_in_its_zone() -> None:
    told = run("list")
    for part in ("nightly", "At 03:00 every day (Europe/Berlin)", " 03:00:00+0", "in "):
        assert part in told
    (found,) = [each for each in as_json("list")["schedules"] if each["name"] == "nightly"]
    assert found["source"] == "declared"
    assert found["misfire"] == "run_once"
    assert found["next"][0]["time"].endswith(("+01:00", "+02:00"))


def test_one_is_added_shown_paused_resumed_and_removed() -> None:
    added = add("hourly", "--cron", "@hourly", "--overlap", "skip", "--misfire", "catch_up:3")
    assert (added["overlap"], added["misfire"], added["misfire_limit"]) == ("skip", "catch_up", 3)
    told = run("show", f"{MODULE}:shop", "hourly", "--next", "4")
    assert "At the start of every hour" in told
    assert "the last 3 missed fires run" in told
    assert told.count(":00:00+00:00") >= 4
    assert as_json("pause", "hourly")["standing"] == "paused"
    assert "paused" in run("show", "hourly")
    assert as_json("pause", "hourly")["paused_since"] == as_json("show", "hourly")["paused_since"]
    assert as_json("resume", "hourly")["standing"] == "active"
    with pytest.raises(ScheduleError, match="--replace"):
        add("hourly", "--every", "5m")
    assert add("hourly", "--every", "5m", "--replace")["words"] == "Every 5m"
    assert as_json("remove", "hourly") == {"removed": "hourly"}
    with pytest.raises(NotFoundError, match=r"no schedule 'hourly' \(there are: .*nightly"):
        run("show", "hourly")


def test_a_moment_without_an_offset_is_one_of_the_schedules_zone() -> None:
    later = (datetime.now(UTC) + timedelta(days=400)).strftime("%Y-%m-%dT12:00")
    added = add("once", "--at", later, "--timezone", "Asia/Tokyo")
    assert added["next"][0]["time"].endswith("12:00:00+09:00")
    run("remove", "once")


def test_what_cannot_be_meant_is_refused_before_anything_is_written() -> None:
    wrong: list[tuple[type[Exception], tuple[str, ...]]] = [
        (DeclarationError, ("--cron", "0 0 30 2 *")),
        (DeclarationError, ("--cron", "@daily", "--timezone", "Berlin/Europe")),
        (DeclarationError, ("--cron", "@daily", "--every", "1h")),
        (DeclarationError, ("--cron", "@daily", "--priority", "urgent")),
        (DeclarationError, ("--every", "100ms")),
        (UsageError, ("--cron", "@daily", "--misfire", "catch_up")),
        (ArgumentError, ("--cron", "@daily", "--arguments", '{"tug": 1}')),
        (ArgumentError, ("--cron", "@daily", "--arguments", "[]")),
    ]
    for error, words in wrong:
        with pytest.raises(error):
            add("wrong", *words)
    assert "wrong" not in run("list")


def test_a_declared_one_is_neither_removed_nor_replaced_here() -> None:
    with pytest.raises(ScheduleError, match="declared in code"):
        run("remove", "nightly")
    with pytest.raises(ScheduleError, match="declared in code"):
        add("nightly", "--every", "5m", "--replace")


def test_a_backfill_says_how_many_before_it_submits_them(stage: Stage) -> None:
    planned = as_json("backfill", "nightly", *PAST, "--dry-run")
    assert (planned["fires"], planned["submitted"]) == (9, 0)
    assert stage.records("default.normal") == []
    assert as_json("backfill", "nightly", *PAST)["submitted"] == 9
    assert len(stage.records("default.normal")) == 9


def test_a_large_backfill_needs_a_yes_and_a_huge_one_a_bound(stage: Stage) -> None:
    add("often", "--every", "1s")
    before = len(stage.records("default.normal"))
    some = ("--from", "2026-03-01T00:00:01+00:00", "--to", "2026-03-01T00:05+00:00")
    with pytest.raises(ScheduleError, match=r"submit 300 jobs of type tick.*--yes"):
        run("backfill", "often", *some)
    with pytest.raises(ScheduleError, match="more than 100,000 times"):
        run("backfill", "often", *PAST, "--yes")
    with pytest.raises(ScheduleError, match="does not fire"):
        run("backfill", "nightly", *some)
    with pytest.raises(ScheduleError, match="up to now"):
        run("backfill", "nightly", "--from", "2026-03-01", "--to", "2199-01-01")
    assert len(stage.records("default.normal")) == before
    assert as_json("backfill", "often", *some, "--yes")["submitted"] == 300
    assert len(stage.records("default.normal")) == before + 300
    run("remove", "often")


def test_a_fire_by_hand_says_which_job_it_is(stage: Stage) -> None:
    job_id = as_json("run", "nightly")["job_id"]
    assert job_id.encode() in [record.key() for record in stage.records("default.normal")]
