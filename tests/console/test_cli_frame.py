"""The frame of the command line: how it is called, and what wrong calls get."""

import re

import pytest

from tests.console.conftest import SHOP, CommandLine


def test_the_version_is_told(headrace: CommandLine) -> None:
    assert re.fullmatch(r"headrace \d+\.\d+\.\d+\n", headrace.ok("--version"))


def test_help_lists_every_command_without_colours_in_a_pipe(headrace: CommandLine) -> None:
    shown = headrace.ok("--help")
    for command in ("up", "worker", "scheduler", "submit", "topics", "schemas", "kafka", "jobs"):
        assert re.search(rf"^│ {command} ", shown, re.MULTILINE), command
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("shop", "write module:attribute"),
        ("no_such_module:shop", "no module 'no_such_module'"),
        ("tests.sample_pipelines.shop:nope", "it has: shop"),
        ("tests.sample_pipelines.shop:not_a_pipeline", "is a int, not a Pipeline"),
    ],
)
def test_a_wrong_reference_is_one_clean_line(
    headrace: CommandLine, reference: str, told: str
) -> None:
    done = headrace("worker", reference)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert told in errors[0]
    assert "Traceback" not in done.stderr


def test_a_missing_pipeline_is_a_usage_error_that_names_the_variable(
    headrace: CommandLine,
) -> None:
    done = headrace("topics", "plan")
    assert done.returncode == 2
    assert "HEADRACE_PIPELINE" in done.stderr


def test_an_unknown_command_is_a_usage_error(headrace: CommandLine) -> None:
    assert headrace("nonsense").returncode == 2


def test_debugging_shows_where_an_error_comes_from(headrace: CommandLine) -> None:
    done = headrace("retry", "explain", SHOP, "nope", env={"HEADRACE_LOG_LEVEL": "debug"})
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "error: pipeline" in done.stderr


def test_a_wrong_setting_ends_a_worker_before_it_connects(headrace: CommandLine) -> None:
    done = headrace("worker", SHOP, env={"HEADRACE_JOB_TIMEOUT": "5"})
    assert done.returncode == 1
    assert "error: HEADRACE_JOB_TIMEOUT=5" in done.stderr


def test_ports_that_do_not_suffice_for_all_processes_are_refused(headrace: CommandLine) -> None:
    done = headrace("worker", SHOP, "--processes", "3", env={"HEADRACE_HTTP_PORT": "65534"})
    assert done.returncode == 1
    assert "error: HEADRACE_HTTP_PORT=65534: 3 processes count up from it" in done.stderr


def test_a_misspelt_variable_is_pointed_out(headrace: CommandLine) -> None:
    done = headrace("worker", "nope:nope", env={"HEADRACE_WORKER_CONCURENCY": "5"})
    assert "did you mean HEADRACE_WORKER_CONCURRENCY?" in done.stderr


def test_no_broker_is_exit_code_3(headrace: CommandLine) -> None:
    done = headrace("kafka", "status", "--directory", str(headrace.folder))
    assert done.returncode == 3
    assert "stopped" in done.stdout
