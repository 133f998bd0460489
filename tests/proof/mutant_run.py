"""Mutants: the engine with one promise broken, put to the proof. The proof must say so.

    python -m tests.proof.mutant_run            every mutant, after the engine itself
    python -m tests.proof.mutant_run 03 12      these two

Each patch in `mutants/` begins with a header: what is broken, the key of the findings that must not
be zero, and the options of the run. A mutant is caught when its run came to its end, no process of
it ended by itself, and that key is above zero: a mutant that crashes shows nothing. And it counts
for something only if the engine as it is keeps every promise in the same run, so that is run too.
"""

# ruff: noqa: T201 - it is a command, too

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = Path(__file__).parent / "mutants"
ENGINE: Final = ("schemas", "pipeline", "producers", "consumers")
"""The source roots that are copied, and that a patch may touch: nothing of the proof is in them."""
KEPT: Final = ROOT / "build" / "mutants"
_PROVE: Final = Path(__file__).parent / "mutated_prove.py"
_LONGEST: Final = 400.0
"""Seconds after which a run is ended; it takes 20 to 60."""
_ENDING: Final = 60.0


class MutantError(Exception):
    """A patch is not what it should be."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken engine; or the engine itself, without a patch.

    Attributes:
        name: Of the patch, less `.patch`.
        what: What is broken.
        key: Of the findings; not zero when it was caught.
        options: Of `headrace prove`.
        patch: The file; None for the engine itself.
    """

    name: str
    what: str
    key: str
    options: tuple[str, ...]
    patch: Path | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run said.

    Attributes:
        found: The count of the mutant's key; of the engine itself, of all keys together.
        seconds: How long it took.
        problem: Why it is not as it should be; empty when it is.
        folder: Of the run.
    """

    found: int
    seconds: float
    problem: str
    folder: Path


def read_mutant(patch: Path) -> Mutant:
    """Read the header of a patch.

    Raises:
        MutantError: A line of it is missing.
    """
    header, _, _ = patch.read_text("utf-8").partition("\n--- ")
    fields: dict[str, str] = {}
    name = ""
    for line in header.splitlines():
        first, colon, rest = line.partition(": ")
        if colon and first in {"What", "Key", "Run"}:
            name = first
            fields[name] = rest
        elif name:
            fields[name] += " " + line.strip()
    missing = {"What", "Key", "Run"} - fields.keys()
    if missing:
        raise MutantError(f"{patch.name}: its header has no line {', '.join(sorted(missing))}")
    what, key, options = (fields[each].strip() for each in ("What", "Key", "Run"))
    return Mutant(patch.stem, what, key, tuple(shlex.split(options)), patch)


def all_mutants() -> list[Mutant]:
    """Read every patch, by number."""
    return [read_mutant(patch) for patch in sorted(FOLDER.glob("*.patch"))]


@contextmanager
def engine(mutant: Mutant) -> Iterator[str]:
    """Copy the engine, apply the patch, and give the search path of the copy.

    Raises:
        MutantError: The patch does not fit the source tree, or touches more than the engine.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-mutant-") as name:
        folder = Path(name).resolve()
        for root in ENGINE:
            shutil.copytree(ROOT / root, folder / root, ignore=shutil.ignore_patterns("*.pyc"))
        if mutant.patch is not None:
            _apply(mutant.patch, folder)
        yield os.pathsep.join(str(folder / root) for root in ENGINE)


def touched(patch: Path) -> list[str]:
    """Give the files that a patch changes."""
    lines = patch.read_text("utf-8").splitlines()
    return [line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/")]


def _apply(patch: Path, folder: Path) -> None:
    """Every line must fit: a patch that lands somewhere else mutates something else."""
    strange = [each for each in touched(patch) if each.split("/")[0] not in ENGINE]
    if strange or not touched(patch):
        raise MutantError(f"{patch.name}: it must change files of {', '.join(ENGINE)} alone")
    done = subprocess.run(
        ["git", "apply", str(patch)],
        cwd=folder,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MutantError(
            f"{patch.name} does not fit the source tree any more: make it anew from what it says "
            f"is broken\n{done.stderr}"
        )


def play(mutant: Mutant, kept: Path = KEPT) -> Verdict:
    """Run the proof with a mutant, or with the engine itself.

    Args:
        mutant: What to run.
        kept: Where the folder of the run goes; what lay there is removed.

    Raises:
        MutantError: The patch does not fit.
    """
    folder = kept / mutant.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    with engine(mutant) as path:
        code = _prove(path, folder, mutant.options)
    seconds = time.monotonic() - began
    answer = folder / "findings.json"
    if code not in {0, 1} or not answer.is_file():
        return Verdict(0, seconds, f"could not be run (exit code {code})", folder)
    findings: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    found, problem = _judge(mutant, findings)
    return Verdict(found, seconds, problem, folder)


def _prove(path: str, folder: Path, options: Sequence[str]) -> int:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HEADRACE_")}
    cache = {name: text for name, text in os.environ.items() if name == "HEADRACE_CACHE_DIR"}
    command = [sys.executable, str(_PROVE), path, "prove", *options]
    command += ["--keep", str(folder / "run"), "--json", str(folder / "findings.json")]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=kept | cache,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            return process.wait(_LONGEST)
        except BaseException as error:
            process.send_signal(signal.SIGINT)  # it ends what it has started
            process.wait(_ENDING)
            if isinstance(error, subprocess.TimeoutExpired):
                return -signal.SIGINT
            raise


def _judge(mutant: Mutant, findings: dict[str, Any]) -> tuple[int, str]:
    if not findings["complete"]:
        return 0, "did not come to its end"
    if findings["ended_by_themselves"]:
        return 0, f"{findings['ended_by_themselves']} processes ended by themselves"
    if mutant.patch is not None:
        found = int(findings[mutant.key])
        return found, "" if found else f"not caught: {mutant.key} is 0"
    broken = {key: findings[key] for key in findings["examples"]}
    reasons = [f"{key} {count}" for key, count in broken.items()] + list(findings["reasons"])
    return sum(broken.values()), "; ".join(reasons)


def with_the_engine_itself(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Put the engine itself before the mutants, once for each kind of run that they ask for."""
    runs = list(dict.fromkeys(mutant.options for mutant in mutants))
    plain = [
        Mutant(f"00-engine-{number}", "nothing", "every key", options)
        for number, options in enumerate(runs, 1)
    ]
    return [*plain, *mutants]


def main(arguments: Sequence[str]) -> int:
    """Run mutants, all or those whose names begin so; gives the exit code."""
    wanted = [
        mutant
        for mutant in all_mutants()
        if not arguments or any(mutant.name.startswith(each) for each in arguments)
    ]
    if not wanted:
        print(f"no mutant's name begins with {' or '.join(arguments)}", file=sys.stderr)
        return 2
    print(f"{'mutant':<36} {'key':<30} {'found':>6} {'seconds':>8}")
    failures = 0
    for mutant in with_the_engine_itself(wanted):
        verdict = play(mutant)
        failures += bool(verdict.problem)
        key, found, seconds = mutant.key, verdict.found, verdict.seconds
        print(f"{mutant.name:<36} {key:<30} {found:>6,} {seconds:>8.0f}", flush=True)
        if verdict.problem:
            print(f"    {verdict.problem}; logs: {verdict.folder}", flush=True)
    print(f"{failures} not as they should be" if failures else "every mutant was caught")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
