"""The mutants themselves: a patch that does not fit, or does not start, would be caught by nobody.

What can go wrong: the engine moves on and a mutant stays behind. `make mutants` runs them all; here
the two quickest are run, so that a proof that has gone blind is found out with every change.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.console.proof.findings import MUST_BE_ZERO
from headrace.console.proof.seeded import SCENARIOS
from tests.proof.mutant_run import (
    FOLDER,
    ROOT,
    Mutant,
    MutantError,
    all_mutants,
    engine,
    main,
    play,
    read_mutant,
    touched,
    with_the_engine_itself,
)

MUTANTS = all_mutants()
QUICKEST = ("14-unreadable-skips", "15-end-before-records")


def named(mutant: Mutant) -> str:
    return mutant.name


def modules(mutant: Mutant) -> list[str]:
    assert mutant.patch is not None
    paths = [Path(each) for each in touched(mutant.patch)]
    return [".".join(path.with_suffix("").parts[1:]) for path in paths]


def test_there_are_mutants_for_every_key_and_as_many_as_are_asked_for() -> None:
    assert len(MUTANTS) >= 12
    assert {mutant.key for mutant in MUTANTS} == set(MUST_BE_ZERO)
    assert len({mutant.name[:2] for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_patch_fits_the_engine_and_what_it_makes_is_imported(mutant: Mutant) -> None:
    assert mutant.what.endswith(".")
    assert mutant.options[mutant.options.index("--scenario") + 1] in SCENARIOS
    assert "--seed" in mutant.options
    names = modules(mutant)
    code = f"import importlib, sys; print([importlib.import_module(n).__file__ for n in {names}])"
    with engine(mutant) as path:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        folder = os.path.commonpath(path.split(os.pathsep))
        assert done.stdout.count(f"'{folder}{os.sep}") == len(names), done.stdout


def test_every_mutant_has_its_line_in_the_list() -> None:
    listed = (FOLDER / "README.md").read_text("utf-8")
    for mutant in MUTANTS:
        (line,) = [each for each in listed.splitlines() if f"| {mutant.name} |" in each]
        assert f"`{mutant.key}`" in line


def test_the_engine_itself_is_run_once_for_each_kind_of_run() -> None:
    runs = with_the_engine_itself(MUTANTS)
    plain = [mutant for mutant in runs if mutant.patch is None]
    assert [mutant.options for mutant in plain] == list(dict.fromkeys(m.options for m in MUTANTS))
    assert runs[len(plain) :] == MUTANTS


def test_a_patch_that_does_not_fit_or_touches_the_proof_is_refused(tmp_path: Path) -> None:
    body = "What: x\nKey: lost\nRun: --seed 1\n\n--- a/{0}\n+++ b/{0}\n@@ -1 +1 @@\n-no\n+yes\n"
    elsewhere, stale = tmp_path / "01-elsewhere.patch", tmp_path / "02-stale.patch"
    elsewhere.write_text(body.format("console/headrace/console/proof/order.py"))
    stale.write_text(body.format("consumers/headrace/consumers/ledger.py"))
    headless = tmp_path / "03-headless.patch"
    headless.write_text("What: x\nRun: --seed 1\n")
    with pytest.raises(MutantError, match="alone"), engine(read_mutant(elsewhere)):
        pass
    with pytest.raises(MutantError, match="does not fit"), engine(read_mutant(stale)):
        pass
    with pytest.raises(MutantError, match="no line Key"):
        read_mutant(headless)


def test_a_mutant_that_nobody_knows_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", QUICKEST)
def test_a_mutant_is_caught(name: str, tmp_path: Path) -> None:
    (mutant,) = [each for each in MUTANTS if each.name == name]
    verdict = play(mutant, tmp_path)
    assert not verdict.problem, (verdict.folder / "output.txt").read_text("utf-8")[-3_000:]
    assert verdict.found > 0
