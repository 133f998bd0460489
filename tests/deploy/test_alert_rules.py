"""Each alert fires in a scenario that should fire it, and is silent in one that should not.

The scenarios are series of a value each minute, evaluated by promtool: Prometheus's own time logic.
"""

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from headrace.console.main import app
from headrace.deploy.observability.alert import RUNBOOKS, render_rules
from headrace.deploy.observability.alerts import ALERTS, GROUPS
from headrace.pipeline.telemetry.metric_list import ALL_METRICS
from headrace.pipeline.telemetry.metric_specs import HistogramSpec
from tests.support.prometheus import required

ROOT = Path(__file__).parents[2]
LANE = 'lane="shop.default.high",instance="a"'
LATE = "headrace_scheduler_lateness_seconds_bucket"


@dataclass(frozen=True)
class Scenario:
    """Series by their notation, looked at after so many minutes."""

    alert: str
    fires: bool
    minute: int
    series: dict[str, str]


def at(alert: str, fires: bool, minute: int, *series: tuple[str, str]) -> Scenario:
    return Scenario(alert, fires, minute, dict(series))


def dead(values: str) -> tuple[str, str]:
    return f'headrace_dead_jobs_total{{{LANE},job_type="mail",reason="exhausted"}}', values


def jobs(outcome: str, values: str) -> tuple[str, str]:
    return f'headrace_jobs_total{{{LANE},job_type="mail",outcome="{outcome}"}}', values


def of_lane(name: str, values: str, more: str = "") -> tuple[str, str]:
    return f"{name}{{{LANE}{more}}}", values


def process(name: str, values: str, more: str = "") -> tuple[str, str]:
    return f'{name}{{instance="a"{more}}}', values


def of_topic(name: str, values: str, more: str = "") -> tuple[str, str]:
    return f'{name}{{instance="a",topic="shop.default.high"{more}}}', values


def verdict(named: str, values: str) -> tuple[str, str]:
    return of_topic("headrace_lag_verdict", values, f',verdict="{named}"')


NEVER, NEVER_YET = " ".join(["Inf"] * 31), " ".join(["Inf"] * 11)
OK, FAILED = ',result="ok"', ',result="failed"'
SCENARIOS = (
    # A job type that dies for the first time: its series begins with the value 20
    at("HeadraceDeadLetters", True, 8, dead("_x5 20x20")),
    at("HeadraceDeadLetters", True, 18, dead("3x10 18x20")),
    at("HeadraceDeadLetters", False, 8, dead("_x5 5x20")),
    at("HeadraceDeadLetters", False, 40, dead("500x60")),
    at("HeadraceRetryStorm", True, 15, jobs("retrying", "0+120x30"), jobs("succeeded", "0+60x30")),
    at("HeadraceRetryStorm", False, 15, jobs("retrying", "0+60x30"), jobs("succeeded", "0+600x30")),
    # Everything fails, but that is one job in a quarter of an hour
    at("HeadraceRetryStorm", False, 15, jobs("retrying", "0+1x30")),
    at("HeadraceLostRecords", True, 70, of_lane("headrace_lost_records_total", "0x66 3x20")),
    at("HeadraceLostRecords", False, 110, of_lane("headrace_lost_records_total", "7x120")),
    at(
        "HeadraceMisplacedRecords", True, 9, of_lane("headrace_misplaced_records_total", "0x5 1x20")
    ),
    at("HeadraceMisplacedRecords", False, 9, of_lane("headrace_misplaced_records_total", "0x20")),
    at("HeadraceDedupForgets", True, 9, of_lane("headrace_dedup_forgotten_total", "0x5 9x20")),
    at("HeadraceDedupForgets", False, 9, of_lane("headrace_dedup_forgotten_total", "0x20")),
    at("HeadraceKafkaUnreachable", True, 6, process("headrace_broker_up", "1x3 0x10")),
    at("HeadraceKafkaUnreachable", False, 6, process("headrace_broker_up", "1x3 0 1x10")),
    at("HeadraceLaneStuck", True, 3, of_lane("headrace_poll_age_seconds", "1 200x9")),
    # A drain takes 30 seconds
    at("HeadraceLaneStuck", False, 3, of_lane("headrace_poll_age_seconds", "1 35x9")),
    at(
        "HeadraceHandOversRefused",
        True,
        12,
        of_lane("headrace_handovers_total", "0+6x30", f',kind="retry"{FAILED}'),
        of_lane("headrace_handovers_total", "9x30", f',kind="retry"{OK}'),
    ),
    # Some are tried again and get through
    at(
        "HeadraceHandOversRefused",
        False,
        12,
        of_lane("headrace_handovers_total", "0+6x30", f',kind="retry"{FAILED}'),
        of_lane("headrace_handovers_total", "0+60x30", f',kind="retry"{OK}'),
    ),
    at(
        "HeadraceTransitionsRefused",
        True,
        12,
        process("headrace_transitions_total", "0+6x30", FAILED),
    ),
    at(
        "HeadraceTransitionsRefused",
        False,
        12,
        process("headrace_transitions_total", "0x2 5x30", FAILED),
    ),
    at("HeadraceCommitMetadataFull", True, 7, of_lane("headrace_commit_metadata_ratio", "0.8x10")),
    at(
        "HeadraceCommitMetadataFull",
        False,
        7,
        of_lane("headrace_commit_metadata_ratio", "0.8x3 0.1x10"),
    ),
    at("HeadraceWorkersDie", True, 12, of_lane("headrace_owner_deaths_total", "0x3 1 2 3x20")),
    at("HeadraceWorkersDie", False, 12, of_lane("headrace_owner_deaths_total", "0x3 1x20")),
    at("HeadraceChildProcessesDie", True, 9, process("headrace_process_deaths_total", "0x3 4x20")),
    at("HeadraceChildProcessesDie", False, 9, process("headrace_process_deaths_total", "0x3 1x20")),
    at("HeadraceThreadsLost", True, 9, process("headrace_lost_threads_total", "0x3 1x20")),
    at("HeadraceThreadsLost", False, 9, process("headrace_lost_threads_total", "0x20")),
    at("HeadraceOrdersUnread", True, 7, process("headrace_orders_readable", "0x20")),
    at("HeadraceOrdersUnread", False, 7, process("headrace_orders_readable", "0x3 1x20")),
    at(
        "HeadraceHeartbeatsRefused",
        True,
        12,
        process("headrace_heartbeats_total", "0+1x30", FAILED),
        process("headrace_heartbeats_total", "4x30", OK),
    ),
    at(
        "HeadraceHeartbeatsRefused",
        False,
        12,
        process("headrace_heartbeats_total", "0+1x30", FAILED),
        process("headrace_heartbeats_total", "0+12x30", OK),
    ),
    at("HeadraceNoScheduler", True, 7, process("headrace_broker_up", "1x20")),
    at("HeadraceNoScheduler", True, 7, process("headrace_scheduler_partitions", "0x20")),
    at(
        "HeadraceNoScheduler",
        False,
        7,
        process("headrace_scheduler_partitions", "0x20"),
        ('headrace_scheduler_partitions{instance="b"}', "27x20"),
    ),
    at(
        "HeadraceReleasesLate",
        True,
        12,
        (f'{LATE}{{le="5.0"}}', "0x30"),
        (f'{LATE}{{le="30.0"}}', "0+10x30"),
        (f'{LATE}{{le="+Inf"}}', "0+10x30"),
    ),
    at(
        "HeadraceReleasesLate",
        False,
        12,
        (f'{LATE}{{le="0.05"}}', "0+10x30"),
        (f'{LATE}{{le="+Inf"}}', "0+10x30"),
    ),
    at(
        "HeadraceSchedulerStuck", True, 3, process("headrace_scheduler_poll_age_seconds", "1 200x9")
    ),
    at("HeadraceSchedulerStuck", False, 3, process("headrace_scheduler_poll_age_seconds", "0.1x9")),
    at("HeadraceSchedulesFail", True, 7, process("headrace_schedules_failing", "1x20")),
    at("HeadraceSchedulesFail", False, 7, process("headrace_schedules_failing", "1x2 0x20")),
    at(
        "HeadraceScheduleMisfires",
        True,
        8,
        process("headrace_schedule_misfires_total", "_x5 1x20", ',schedule="nightly"'),
    ),
    at(
        "HeadraceScheduleMisfires",
        False,
        110,
        process("headrace_schedule_misfires_total", "3x120", ',schedule="nightly"'),
    ),
    at("HeadraceProjectorSilent", True, 4, process("headrace_projector_silence_seconds", "100x9")),
    at("HeadraceProjectorSilent", False, 4, process("headrace_projector_silence_seconds", "2x9")),
    at(
        "HeadraceJobsWaitTooLong",
        True,
        6,
        of_lane("headrace_oldest_ready_age_seconds", "0x2 400x9"),
    ),
    # Long, and then not any more
    at(
        "HeadraceJobsWaitTooLong",
        False,
        6,
        of_lane("headrace_oldest_ready_age_seconds", "400x1 9x9"),
    ),
    at("HeadraceLaneStandsStill", True, 6, verdict("stalled", "0x2 1x9"), verdict("OK", "1x2 0x9")),
    at("HeadraceLaneStandsStill", False, 6, verdict("stalled", "0x9"), verdict("warning", "1x9")),
    at(
        "HeadraceBacklogGrows",
        True,
        18,
        of_lane("headrace_time_to_close_seconds", NEVER),
        of_lane("headrace_ready_jobs", "200+50x30"),
    ),
    at(
        "HeadraceBacklogGrows",
        False,
        18,
        of_lane("headrace_time_to_close_seconds", f"{NEVER_YET} 600x20"),
        of_lane("headrace_ready_jobs", "200+50x10 700-20x20"),
    ),
    # A handful of jobs, for ever
    at(
        "HeadraceBacklogGrows",
        False,
        18,
        of_lane("headrace_time_to_close_seconds", NEVER),
        of_lane("headrace_ready_jobs", "3x30"),
    ),
    at("HeadraceRetentionNear", True, 8, of_topic("headrace_retention_used_ratio", "0.71x20")),
    at("HeadraceRetentionNear", False, 8, of_topic("headrace_retention_used_ratio", "0.69x20")),
    at(
        "HeadraceDueNotMoved",
        True,
        4,
        process("headrace_tier_late_seconds", "60x9", ',tier="soon"'),
    ),
    at(
        "HeadraceDueNotMoved",
        False,
        4,
        process("headrace_tier_late_seconds", "2x9", ',tier="soon"'),
    ),
    at("HeadraceGroupUnsettled", True, 4, process("headrace_group_settled", "0x9", ',group="g"')),
    at(
        "HeadraceGroupUnsettled",
        False,
        4,
        process("headrace_group_settled", "0 0 1x9", ',group="g"'),
    ),
    at("HeadraceLagUnknown", True, 7, process("headrace_broker_up", "1x20")),
    at("HeadraceLagUnknown", True, 7, process("headrace_lag_age_seconds", "200x20")),
    at("HeadraceLagUnknown", False, 7, process("headrace_lag_age_seconds", "5x20")),
)


def named(scenarios: tuple[Scenario, ...], *, fire: bool) -> set[str]:
    return {each.alert for each in scenarios if each.fires == fire}


def test_every_alert_has_a_scenario_that_fires_it_and_one_that_does_not() -> None:
    every = {alert.name for alert in ALERTS}
    assert named(SCENARIOS, fire=True) == every
    assert named(SCENARIOS, fire=False) == every


def unit_test(scenario: Scenario) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="{scenario.alert}",alertstate="firing"}})'
    expected = [{"labels": "{}", "value": 1}] if scenario.fires else []
    look = {"expr": firing, "eval_time": f"{scenario.minute}m", "exp_samples": expected}
    series = [{"series": name, "values": values} for name, values in scenario.series.items()]
    name = f"{scenario.alert} {'fires' if scenario.fires else 'is silent'}"
    return {"name": name, "interval": "1m", "input_series": series, "promql_expr_test": [look]}


def test_alerts_fire_when_they_should_and_are_silent_when_they_should_not(tmp_path: Path) -> None:
    promtool = required("promtool")
    (tmp_path / "rules.yml").write_text(render_rules(GROUPS))
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [unit_test(each) for each in SCENARIOS],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def known_series() -> set[str]:
    names = {spec.name for spec in ALL_METRICS}
    for spec in ALL_METRICS:
        if isinstance(spec, HistogramSpec):
            names |= {f"{spec.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


def test_alerts_speak_of_metrics_that_there_are() -> None:
    used = {name for alert in ALERTS for name in re.findall(r"headrace_\w+", alert.expression)}
    assert used <= known_series()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_runbook_that_says_what_it_means_looks_first_and_repairs(alert: Any) -> None:
    text = (ROOT / RUNBOOKS).read_text()
    found = re.search(rf"^## {alert.name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {alert.name} in {RUNBOOKS}"
    for part in ("**Means.**", "**First.**", "**Repair.**"):
        assert part in found[1], part
    assert "`" in found[1].split("**First.**")[1], "no command to begin with"


def commands_of(text: str) -> list[list[str]]:
    """Each `headrace …` of a page as words; one may go on in the next line."""
    joined = re.findall(r"`(headrace [^`]*)`", text) + re.findall(
        r"^(headrace .*)$", text, re.MULTILINE
    )
    return [shlex.split(each.split("  #")[0])[1:] for each in joined]


def options_of(words: list[str]) -> set[str]:
    """The options of the command that these words name; of a group that takes the rest itself, all."""
    command: Any = typer.main.get_command(app)
    for word in words:
        below = getattr(command, "commands", None)
        if below is None:
            break
        following = command.get_command(None, word)
        if following is None:
            assert ":" in word, f"headrace {' '.join(words)}: there is no {word}"
            return {
                name for each in below.values() for option in each.params for name in option.opts
            }
        command = following
    return {name for option in command.params for name in option.opts}


def test_every_command_of_a_runbook_exists_with_its_options() -> None:
    found = commands_of((ROOT / RUNBOOKS).read_text())
    assert len(found) > len(ALERTS)
    for words in found:
        assert {word for word in words if word.startswith("--")} <= options_of(words), words


def test_there_is_no_runbook_without_its_alert() -> None:
    headings = re.findall(r"^## (Headrace\w+)$", (ROOT / RUNBOOKS).read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(alert.name for alert in ALERTS)
