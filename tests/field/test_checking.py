"""What a benchmark says was lost or ran twice, judged from the log that handlers append to."""

import subprocess
import sys
from pathlib import Path

from benchmarks.field import checking, work
from benchmarks.field.checking import Execution, Verdict
from benchmarks.field.stage import rates


def executions(*numbers: int) -> list[Execution]:
    return [Execution(number, 1_000_000 * place) for place, number in enumerate(numbers)]


def test_a_run_in_which_each_job_ran_once_is_clean() -> None:
    assert checking.check(executions(2, 0, 1), range(3)) == Verdict(0, 0)


def test_a_job_that_is_not_in_the_log_is_lost() -> None:
    assert checking.check(executions(0, 2), range(3)) == Verdict(lost=1, doubled=0)


def test_each_execution_beyond_the_first_counts_as_doubled() -> None:
    assert checking.check(executions(0, 1, 1, 1), range(2)) == Verdict(lost=0, doubled=2)


def test_a_double_does_not_hide_a_loss() -> None:
    assert checking.check(executions(0, 0), range(2)) == Verdict(lost=1, doubled=1)


def test_an_execution_of_a_job_that_nobody_submitted_is_foreign() -> None:
    assert checking.check(executions(0, 7), range(1)) == Verdict(0, 0, foreign=1)


def test_a_retried_job_must_run_as_often_as_its_attempts() -> None:
    verdict = checking.check(executions(0, 0, 1), range(2), lambda number: 2)
    assert verdict == Verdict(lost=1, doubled=0)


def test_flaky_jobs_run_exactly_as_often_as_the_harness_expects() -> None:
    ran: list[Execution] = []
    for number in range(2_000):
        for attempt in range(1, work.ATTEMPTS + 1):
            ran.append(Execution(number, 0))
            if not work.fails(number, attempt):
                break
    assert checking.check(ran, range(2_000), work.executions) == Verdict(0, 0)
    dead = sum(work.dies(number) for number in range(2_000))
    assert sum(work.executions(number) for number in range(2_000)) == len(ran)
    assert 0 < dead < 20


def test_what_several_processes_append_is_all_read_and_a_torn_end_is_not(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "from benchmarks.field import work; [work.note(n) for n in range(500)]"
    environment = {"BENCH_LOG": str(log), "PYTHONPATH": str(Path.cwd())}
    writers = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with log.open("ab") as file:
        file.write(b"torn")
    assert checking.count(log) == 1_000
    assert checking.check(checking.read(log), range(500), lambda number: 2) == Verdict(0, 0)


def test_the_warm_up_does_not_count_for_the_rate() -> None:
    slow_start = [Execution(0, 0), *(Execution(n, 10**9 + n * 10**6) for n in range(1, 102))]
    assert round(rates(slow_start, warm=1)["per_s"]) == 1_000
    assert rates(slow_start, warm=0)["per_s"] < 100
