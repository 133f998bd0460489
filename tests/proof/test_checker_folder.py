"""Findings hang on what happened, not on the order or the files in which it was written down."""

import io
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest
from rich.console import Console

from headrace.console.proof import dump, report
from headrace.console.proof.checker import check, check_folder
from headrace.console.proof.dump import Records
from headrace.console.proof.findings import MUST_BE_ZERO, Findings
from headrace.console.proof.joined import RunLog
from headrace.console.proof.run_folder import EXECUTIONS, RunFolder, RunFolderError, tsv_line
from tests.proof.builder import Run, clean
from tests.proof.test_checker_trips import STORIES

T = TypeVar("T")


def eventful() -> Run:
    """Everything that can go wrong, in one run."""
    run = Run()
    for key in MUST_BE_ZERO:
        for story in STORIES[key]:
            run.prefix = f"{story.__name__}-"
            story(run)
            run.wait(100_000)
    run.prefix = ""
    clean(run)
    return run


def written(run: Run, path: Path, chance: random.Random) -> RunFolder:
    """The run as a folder, every file in another order."""
    folder = RunFolder(path)
    log, left = run.log(), run.left()
    folder.write_info(log.info)
    folder.append_submitted(_mixed(log.submitted, chance))
    folder.append_unconfirmed(_mixed(log.unconfirmed, chance))
    folder.begin_faults()
    for fault in _mixed(log.faults or (), chance):
        folder.append_fault(fault)
    (path / EXECUTIONS).mkdir()
    for event in _mixed(log.events, chance):
        with (path / EXECUTIONS / f"{chance.randrange(5)}.tsv").open("a") as file:
            file.write(tsv_line(event) + "\n")
    mixed = Records(
        _mixed(left.records, chance),
        _mixed(left.transitions, chance),
        dict(_mixed(left.positions.items(), chance)),
    )
    dump.write(mixed, path)
    return folder


def _mixed(values: Iterable[T], chance: random.Random) -> list[T]:
    found = list(values)
    chance.shuffle(found)
    return found


def as_data(findings: Findings) -> object:
    return json.loads(report.as_json(findings))


def test_everything_that_can_go_wrong_is_found_in_one_run() -> None:
    findings = eventful().check()
    assert all(findings.violations.values())
    assert set(findings.examples) == set(MUST_BE_ZERO)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_lines_files_and_records_changes_nothing(seed: int, tmp_path: Path) -> None:
    run = eventful()
    expected = as_data(run.check())
    written(run, tmp_path, random.Random(seed))
    assert as_data(check_folder(tmp_path)) == expected


def test_a_run_without_its_file_of_faults_is_checked_and_not_ok(tmp_path: Path) -> None:
    run = Run()
    clean(run)
    folder = written(run, tmp_path, random.Random(1))
    assert check(RunLog.load(folder), dump.read(tmp_path)).ok
    (tmp_path / "faults.jsonl").unlink()
    findings = check_folder(tmp_path)
    assert "it is not written down which faults were made" in findings.reasons


def test_a_run_whose_topics_were_not_kept_cannot_be_checked(tmp_path: Path) -> None:
    run = Run()
    clean(run)
    written(run, tmp_path, random.Random(1))
    (tmp_path / "topics" / dump.TRANSITIONS).unlink()
    with pytest.raises(RunFolderError, match=r"transitions\.tsv\.gz cannot be read"):
        check_folder(tmp_path)
    (tmp_path / "topics" / dump.RECORDS).write_bytes(b"no gzip")
    with pytest.raises(RunFolderError, match=r"records\.tsv\.gz cannot be read"):
        check_folder(tmp_path)


def test_the_report_fits_a_terminal_and_says_everything() -> None:
    out = Console(width=80, record=True, file=io.StringIO(), highlight=False)
    report.print_report(eventful().check(), out)
    text = out.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "FAILED" in text
    assert "ran again without a cause" in text
    assert "seed 7" in text


def test_the_markdown_table_names_seed_versions_and_machine() -> None:
    run = Run()
    clean(run)
    text = report.as_markdown(run.check())
    assert "| accepted jobs | 1 |" in text
    assert "| lost | 0 |" in text
    assert "seed 7" in text
    assert "kafka 4.3.1" in text
    assert "cpus 2" in text


def test_json_has_the_keys_that_programs_look_for() -> None:
    run = Run()
    clean(run)
    found = json.loads(json.dumps(run.check().as_json()))
    wanted = {"ok", "accepted", "lost", "early", "duplicates", "reexecuted", "faults", "seed"}
    assert found.keys() >= wanted | set(MUST_BE_ZERO)
    assert found["faults"] == {"kill": 1}


def test_a_kept_run_is_checked_again_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run()
    clean(run)
    written(run, tmp_path, random.Random(1))
    with pytest.raises(SystemExit) as ended:
        report.main([str(tmp_path)])
    assert ended.value.code == 0
    assert "every promise kept" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="usage"):
        report.main([])
    with pytest.raises(SystemExit, match=r"run\.json is missing"):
        report.main([str(tmp_path / "none")])
