"""What the runner writes into a run folder is what the checker reads."""

import threading
from pathlib import Path

import pytest

from headrace.console.proof.records import (
    Committed,
    ExecutionEvent,
    Fault,
    Kind,
    RunInfo,
    Submission,
    What,
    WorkerEvent,
)
from headrace.console.proof.run_folder import ExecutionLog, RunFolder, RunFolderError

INFO = RunInfo(
    "r1", 7, "proof", "all", 1.5, "127.0.0.1:1", {"kafka": "4.3.1"}, {"cpus": 2}, 6.0, 16, ("l",)
)
JOB = Submission("j1", "t", "proof.a.b", "k\t\\n\n\\", 3, 99, '{"sleep": "\\t"}', 1, 2)
EVENT = ExecutionEvent(5, What.SNOOZE, "j1", 2, 11, "proof.a.b", "k\r\t", 3, 99, 6, 10)
FAULT = Fault(
    4, Kind.KILL, 10, 20, (10, 12), 3, {("proof.a.b", 0): Committed(8, "H1x")}, 15, "a note"
)


def test_everything_that_is_written_is_read_again_unchanged(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_info(INFO)
    folder.append_submitted([JOB])
    folder.append_submitted([JOB._replace(job_id="j2")])
    folder.append_unconfirmed([JOB])
    folder.append_fault(FAULT)
    folder.append_worker(WorkerEvent(1, "ended", 10, ("proof.a.b",), -9))
    ExecutionLog(folder.path).write(EVENT)

    assert folder.info() == INFO
    assert [job.job_id for job in folder.submitted()] == ["j1", "j2"]
    assert list(folder.unconfirmed()) == [JOB]
    assert folder.faults() == [FAULT]
    assert folder.worker_events() == [WorkerEvent(1, "ended", 10, ("proof.a.b",), -9)]
    assert list(folder.executions()) == [EVENT]


def test_an_empty_list_of_faults_is_told_apart_from_a_missing_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(RunFolderError, match=r"faults\.jsonl is missing"):
        folder.faults()
    folder.begin_faults()
    assert folder.faults() == []


def test_threads_that_begin_a_log_together_lose_no_line(tmp_path: Path) -> None:
    for number in range(20):
        folder = RunFolder(tmp_path / str(number))
        log = ExecutionLog(folder.path)
        begin = threading.Barrier(8)

        def write(log: ExecutionLog = log, begin: threading.Barrier = begin) -> None:
            begin.wait()
            log.write(EVENT)

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(folder.executions()) == [EVENT] * 8


def test_a_line_that_was_cut_is_an_error_that_names_file_and_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_submitted([JOB])
    with (tmp_path / "submitted.tsv").open("a") as file:
        file.write("j2\tt")
    with pytest.raises(RunFolderError, match=r"submitted\.tsv, line 2"):
        list(folder.submitted())
