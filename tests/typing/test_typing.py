"""Both type checkers accept every right call of a declaration and refuse every wrong one.

The calls stand in `cases/`; a line that must be refused ends with `# error: why`.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
MARK = "  # error: "
MYPY_LINE = re.compile(r"(?P<file>[\w.]+):(?P<line>\d+): error: (?P<message>.*)")

Findings = dict[tuple[str, int], str]
"""By file name and line: what a checker says."""


def mypy(cache: Path) -> Findings:
    """Run in the folder, as a user's project would, without Headrace's own settings."""
    command = ["-m", "mypy", "--config-file=", "--strict", f"--cache-dir={cache}", "."]
    printed = run(command)
    found = [MYPY_LINE.match(line) for line in printed.splitlines()]
    return {(m["file"], int(m["line"])): m["message"] for m in found if m}


def pyright(cache: Path) -> Findings:
    printed = run(["-m", "pyright", "--pythonpath", sys.executable, "--outputjson"])
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
        for each in json.loads(printed)["generalDiagnostics"]
        if each["severity"] == "error"
    }


def run(arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=CASES, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), f"the checker itself failed: {done.stdout}{done.stderr}"
    return done.stdout


def marked_lines() -> set[tuple[str, int]]:
    return {
        (path.name, number)
        for path in CASES.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if MARK in line
    }


@pytest.mark.parametrize("check", [mypy, pyright], ids=["mypy", "pyright"])
def test_a_checker_refuses_exactly_the_wrong_calls(
    check: Callable[[Path], Findings], tmp_path: Path
) -> None:
    found = check(tmp_path)
    marked = marked_lines()
    assert len(marked) > 30
    wrongly_refused = {place: text for place, text in found.items() if place not in marked}
    assert not wrongly_refused
    assert not marked - found.keys(), "these wrong calls were accepted"
