"""The story of an incident, as `python -m examples.incident` tells it, with fewer jobs.

What can go wrong: a job is lost or done twice between the dead letters, the killed replay and its
resumption; an edit or a discard leaves a letter without an end.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_every_job_of_the_incident_is_accounted_for(kafka: str, tmp_path: Path) -> None:
    figures = tmp_path / "account.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "examples.incident", "--jobs", "2000", "--rate", "300"),
            *("--bootstrap", kafka, "--json", str(figures)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert json.loads(figures.read_text()) == {
        "submitted": 2_000,
        "ends": {
            "succeeded after its replay": 1_000,
            "discarded": 999,
            "edited, and the new job succeeded": 1,
        },
        "copies": 0,
        "repeated": 0,
        "undone": 0,
        "adds_up": True,
    }
    assert "kill -9" in told
    assert "none did its work twice" in told
