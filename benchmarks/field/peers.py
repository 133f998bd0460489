"""The adapter that all systems share: environments, processes of the client, processes of workers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.field.contract import (
    Feature,
    Figures,
    NotInstalledError,
    Run,
    ServiceKind,
    Setting,
    Submission,
)
from benchmarks.field.watching import Tree

ROOT = Path(__file__).resolve().parents[2]
VENVS = Path("build/bench/venvs")
_INSTALL = 900.0
_CLIENT = 180.0
Commands = Callable[[Run], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Peer:
    """A system by what is special about it. Its module in `apps` holds its tasks and its client.

    Attributes:
        requirements: The file in `benchmarks/peers`; None for what lives in `.venv`.
        packages: Distributions whose versions the report names.
        commands: The workers' processes. The first word is a program of the environment.
        naps: How it runs many waiting jobs at a time; None where it cannot run so many.
        spins: How it runs CPU-bound jobs on two cores; the best of the sweep when not given.
    """

    name: str
    title: str
    service: ServiceKind
    app: str
    requirements: str | None
    packages: tuple[str, ...]
    commands: Commands
    features: frozenset[Feature]
    durability: str
    source: str
    sweep: tuple[Setting, ...]
    naps: Callable[[int], Setting | None] = lambda in_flight: None
    spins: Setting | None = None

    @property
    def programs(self) -> Path:
        """The folder of its environment's programs."""
        if self.requirements is None:
            return Path(sys.executable).parent
        return (VENVS / self.requirements / "bin").absolute()

    def install(self) -> dict[str, str]:
        """Make its environment, if it is not there."""
        if self.requirements is not None:
            self._make_environment(self.requirements)
        return self._versions()

    def prepare(self, run: Run) -> None:
        """Let the application make what it needs."""
        self._ask(run, {"app": self.app, "action": "prepare"})

    def submit(self, run: Run, submission: Submission) -> Figures:
        """Submit in a process of its own."""
        found = self._ask(run, {"app": self.app, "action": "submit", **asdict(submission)})
        figures: Figures = json.loads(found)
        return figures

    def start(self, run: Run) -> Tree:
        """Start the workers; what they print goes beside the log of executions."""
        started = [self._spawn(run, command) for command in self.commands(run)]
        return Tree(started)

    def stop(self, run: Run, tree: Tree) -> None:
        """End them by SIGTERM."""
        tree.stop()

    def letters(self, run: Run) -> int | None:
        """Ask the application."""
        if Feature.LETTERS not in self.features:
            return None
        return int(self._ask(run, {"app": self.app, "action": "letters"}))

    def replay(self, run: Run) -> None:
        """Let the application do it."""
        self._ask(run, {"app": self.app, "action": "replay"})

    def setting_for(self, kind: str, in_flight: int) -> Setting | None:
        """As it was declared."""
        return self.naps(in_flight) if kind == "nap" else self.spins

    def environment(self, run: Run) -> dict[str, str]:
        """Give the environment of the run's processes."""
        path = f"{self.programs}{os.pathsep}{os.environ.get('PATH', '')}"
        return {
            **os.environ,
            **run.environment(),
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }

    def _spawn(self, run: Run, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        program = self.programs / command[0]
        with run.log.with_suffix(".out").open("ab") as out:
            return subprocess.Popen(
                [str(program), *command[1:]],
                env=self.environment(run),
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )

    def _ask(self, run: Run, wanted: dict[str, object]) -> str:
        """Run the client; gives the last line of what it prints.

        Raises:
            RuntimeError: It failed, and the text is what it said; or it took too long.
        """
        command = [str(self.programs / "python"), "-m", "benchmarks.field.client"]
        try:
            done = subprocess.run(
                [*command, json.dumps(wanted)],
                env=self.environment(run),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=_CLIENT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(
                f"its client was not done with {wanted} after {_CLIENT:.0f} s"
            ) from error
        if done.returncode != 0:
            said = "\n".join(done.stderr.splitlines()[-60:])
            raise RuntimeError(f"its client failed at {wanted}:\n{said}")
        return (done.stdout.strip().splitlines() or ["{}"])[-1]

    def _make_environment(self, requirements: str) -> None:
        folder, done = VENVS / requirements, VENVS / requirements / ".installed"
        wanted = ROOT / "benchmarks" / "peers" / f"{requirements}.txt"
        if done.exists() and done.stat().st_mtime >= wanted.stat().st_mtime:
            return
        install = ["-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        install += ["--require-hashes", "--only-binary", ":all:", "-r", str(wanted)]
        try:
            _run([sys.executable, "-m", "venv", str(folder)])
            _run([str(folder / "bin" / "python"), *install])
        except (subprocess.SubprocessError, OSError) as error:
            raise NotInstalledError(f"{self.title}: {_said(error)}") from error
        done.touch()

    def _versions(self) -> dict[str, str]:
        code = (
            "import sys, json; from importlib.metadata import version; "
            "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
        )
        python = str(self.programs / "python")
        found: dict[str, str] = json.loads(_run([python, "-c", code, *self.packages]))
        return found


def _run(command: Sequence[str]) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=_INSTALL
    ).stdout


def _said(error: Exception) -> str:
    lines = str(getattr(error, "stderr", None) or error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
