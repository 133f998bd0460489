"""`headrace claims prune`: old days go, young ones and those of others stay."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.console.conftest import CommandLine

MODULE = "tests.sample_pipelines.policies:policies"


@pytest.fixture
def store(tmp_path: Path, headrace: CommandLine) -> Path:
    headrace.environment["HEADRACE_CLAIMS_URL"] = str(tmp_path)
    today = datetime.now(UTC).date()
    for owner in ("policies", "other"):
        for age in (0, 20, 50, 60):
            day = tmp_path / owner / (today - timedelta(days=age)).isoformat()
            day.mkdir(parents=True)
            (day / "arguments-1").write_bytes(b"data")
    return tmp_path


def kept(store: Path, owner: str = "policies") -> int:
    return len(list((store / owner).rglob("arguments-1")))


def test_days_older_than_the_bound_are_deleted_for_this_pipeline_alone(
    headrace: CommandLine, store: Path
) -> None:
    told = headrace.ok("claims", "prune", MODULE, "--older-than", "45d", "--json")
    assert len(json.loads(told)["days"]) == 2
    assert (kept(store), kept(store, "other")) == (2, 4)
    assert "no claims" in headrace.ok("claims", "prune", MODULE, "--older-than", "45d")


def test_a_dry_run_deletes_nothing(headrace: CommandLine, store: Path) -> None:
    told = headrace.ok("claims", "prune", MODULE, "--older-than", "45d", "--dry-run")
    assert "would delete the claims of 2 days" in told
    assert kept(store) == 4


def test_what_dead_letters_may_still_need_is_kept_unless_one_is_sure(
    headrace: CommandLine, store: Path
) -> None:
    done = headrace("claims", "prune", MODULE, "--older-than", "1d")
    assert done.returncode == 2
    assert "HEADRACE_DLQ_RETENTION" in done.stderr
    assert kept(store) == 4
    headrace.ok("claims", "prune", MODULE, "--older-than", "1d", "--yes")
    assert kept(store) == 1
