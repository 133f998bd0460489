"""`headrace retry explain`: what people and programs are told of a policy."""

import json
import re
from typing import Any

from tests.console.conftest import CommandLine

POLICIES = "tests.sample_pipelines.policies:policies"


def explained(headrace: CommandLine, job_type: str) -> str:
    return headrace.ok("retry", "explain", POLICIES, job_type)


def has_row(shown: str, *cells: str) -> bool:
    """Whether a row of a table has these cells, whatever the spaces between."""
    row = r"\s{2,}".join(map(re.escape, cells))
    return re.search(rf"^\s*{row}$", shown, re.MULTILINE) is not None


def test_everything_that_a_policy_says_is_told(headrace: CommandLine) -> None:
    shown = explained(headrace, "everything")
    for told in (
        "8, by its own policy",
        "2s, doubled each time, at most 1m; ± 30% at random",
        "http_retry_after: where the exception tells how long to wait, that holds instead",
        "no retry starts later than 10m after submission",
        "retries are at most 25% of a worker's attempts per 1m (5 always may)",
        "KeyError: dead (exhausted) at once",
        "LookupError, OSError",
    ):
        assert told in shown
    assert has_row(shown, "2", "1.4s to 2.6s", "1.4s", "2.6s")
    assert "dead (exhausted) when attempt 8 has failed" in shown


def test_the_policy_of_an_exception_is_told_with_the_age_that_ends_it(
    headrace: CommandLine,
) -> None:
    shown = explained(headrace, "everything").partition("ConnectionError and its subclasses")[2]
    assert "20, all attempts counted" in shown
    assert "always 1m; no jitter" in shown
    assert has_row(shown, "2 to 11", "1m", "1m to 10m", "1m to 10m")
    assert "dead (too-old) when attempt 11 has failed: the next would start more than 10m" in shown


def test_listed_waits_are_shown_and_equal_ones_share_a_row(headrace: CommandLine) -> None:
    shown = explained(headrace, "listed")
    assert "as listed: 1m, 5m, 2h, and so on; no jitter" in shown
    assert has_row(shown, "3", "5m", "6m", "6m")
    assert has_row(shown, "4 to 9", "2h", "2h 6m to 12h 6m", "2h 6m to 12h 6m")


def test_a_type_without_a_policy_follows_the_workers_setting(headrace: CommandLine) -> None:
    done = headrace("retry", "explain", POLICIES, "silent", env={"HEADRACE_MAX_RETRIES": "2"})
    assert "2, by the worker's default (HEADRACE_MAX_RETRIES)" in done.stdout


def test_a_policy_without_retries_says_so(headrace: CommandLine) -> None:
    shown = explained(headrace, "once")
    assert "none: a job that failed is dead" in shown
    assert "dead (exhausted) when attempt 1 has failed" in shown


def test_programs_get_every_wait_in_seconds(headrace: CommandLine) -> None:
    told: Any = json.loads(headrace.ok("retry", "explain", POLICIES, "everything", "--json"))
    assert (told["job_type"], told["declared"], told["max_attempts"]) == ("everything", True, 8)
    assert told["attempts"][0] == {
        "attempt": 2,
        "wait_seconds": [1.4, 2.6],
        "starts_seconds": [1.4, 2.6],
    }
    assert told["budget"] == {"ratio": 0.25, "per_seconds": 60.0, "minimum": 5}
    assert told["never"] == ["builtins.KeyError"]
    own = told["per_exception"]["builtins.ConnectionError"]
    assert (own["first_too_late"], own["max_age_seconds"]) == (12, 600.0)


def test_an_unknown_job_type_is_named_with_those_that_exist(headrace: CommandLine) -> None:
    done = headrace("retry", "explain", POLICIES, "nope")
    assert done.returncode == 1
    assert "'nope'" in done.stderr
    assert "listed" in done.stderr
