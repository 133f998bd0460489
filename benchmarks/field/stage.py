"""One run of one system: prepared, filled, drained, checked, removed again."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.field import checking
from benchmarks.field.checking import Execution, Verdict
from benchmarks.field.contract import Figures, Run, Setting, Submission, System
from benchmarks.field.services import Service
from benchmarks.field.watching import Tree, Usage

WARM = 0.05
"""The share of the executions that is over before anything is measured."""
_START = 60.0
"""Seconds in which workers must have run their first job."""
_STALL = 15.0
"""Seconds without any execution after which the rest counts as lost."""
_LINGER = 0.3
"""Seconds after the last expected execution in which superfluous ones are still seen."""


@dataclass(frozen=True)
class Wish:
    """How a run shall be; see `contract.Run`."""

    setting: Setting
    partitions: int = 12
    ordered: bool = False
    transitions: bool = True
    spread: tuple[int, int] = (1, 1)
    urgent: bool = False
    headers: bool = False


@dataclass(frozen=True)
class Look:
    """What was used up to a moment."""

    at: float
    executions: int
    workers: Usage
    service_cpu: float


@dataclass
class Stage:
    """A run that goes on. Use `staged`."""

    system: System
    service: Service
    run: Run
    submitted: int = 0
    empty_bytes: int = 0
    looks: list[Look] = field(default_factory=list)

    def submit(self, submission: Submission) -> Figures:
        """Submit in a process of its own."""
        figures = self.system.submit(self.run, replace(submission, first=self.submitted))
        self.submitted += int(figures["submitted"])
        return figures

    def bytes_per_job(self) -> float:
        """What the service keeps for each job that was submitted and has not run."""
        kept = self.service.size_of(self.run.name) - self.empty_bytes
        return kept / max(1, self.submitted)

    def look(self, tree: Tree) -> Look:
        """Look at the log and at what was used."""
        done = checking.count(self.run.log)
        return Look(time.perf_counter(), done, tree.usage(), self.service.cpu())

    @contextmanager
    def working(self) -> Iterator[Tree]:
        """Run the workers."""
        tree = self.system.start(self.run)
        try:
            yield tree
        finally:
            self.system.stop(self.run, tree)

    def await_executions(self, tree: Tree, count: int, limit: float | None = None) -> bool:
        """Wait for so many executions; False when they stopped coming, or time is up.

        Raises:
            RuntimeError: Nothing ran at all.
        """
        begin = moved = time.monotonic()
        before = checking.count(self.run.log)
        while (done := checking.count(self.run.log)) < count:
            now = time.monotonic()
            if done != before:
                before, moved = done, now
            if limit is not None and now - begin > limit:
                return False
            if now - moved > (_STALL if done else _START):
                self._check_alive(done)
                return False
            if tree.ended_early() and now - moved > 2:
                self._check_alive(done)
            time.sleep(0.01)
        return True

    def await_all(self, tree: Tree, wanted: Callable[[int], int] = lambda number: 1) -> bool:
        """Wait until each job has run as often as it should: what ran twice stands for no other."""
        expected = sum(map(wanted, range(self.submitted)))
        while self.await_executions(tree, expected):
            lost = self.verdict(wanted).lost
            if not lost:
                return True
            expected = checking.count(self.run.log) + lost
        return False

    def drain(self, expected: int, limit: float | None = None) -> Figures:
        """Start the workers, and measure from the end of the warm-up to the last execution."""
        begin = time.time_ns()
        with self.working() as tree:
            self.await_executions(tree, max(1, int(expected * WARM)))
            first = self.look(tree)
            complete = self.await_executions(tree, expected, limit)
            last = self.look(tree)
            if complete and self.verdict().lost:
                complete = self.await_all(tree)
                last = self.look(tree)
            if complete:
                time.sleep(_LINGER)
        executions = checking.read(self.run.log)
        return {
            "complete": float(complete),
            "first_execution_s": (executions[0].began - begin) / 1e9,
            **rates(executions, int(expected * WARM)),
            **spent(first, last),
        }

    def verdict(self, wanted: Callable[[int], int] = lambda number: 1) -> Verdict:
        """Compare what was submitted with what ran."""
        return checking.check(checking.read(self.run.log), range(self.submitted), wanted)

    def _check_alive(self, done: int) -> None:
        if done == 0:
            out = self.run.log.with_suffix(".out")
            said = "\n".join(out.read_text(errors="replace").splitlines()[-15:])
            raise RuntimeError(f"no job ran; its workers said:\n{said or 'nothing'}")


def rates(executions: Sequence[Execution], warm: int) -> Figures:
    """How fast jobs began, after the warm-up."""
    began = sorted(each.began for each in executions)[warm:]
    seconds = (began[-1] - began[0]) / 1e9 if len(began) > 1 else 0.0
    return {"per_s": (len(began) - 1) / seconds if seconds else 0.0, "seconds": seconds}


def spent(first: Look, last: Look) -> Figures:
    """What workers and service used between two looks."""
    thousands = max(1, last.executions - first.executions) / 1000
    return {
        "cpu_s_per_1000": (last.workers.cpu - first.workers.cpu) / thousands,
        "service_cpu_s_per_1000": (last.service_cpu - first.service_cpu) / thousands,
        "peak_rss_mb": last.workers.peak_mb,
    }


@contextmanager
def staged(system: System, service: Service, folder: Path, wish: Wish) -> Iterator[Stage]:
    """Make a run, and remove what it left in the service."""
    name = f"b{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(
        name,
        service.url_of(name),
        (folder / f"{system.name}-{name}.log").absolute(),
        wish.setting,
        wish.partitions,
        wish.ordered,
        wish.transitions,
        wish.spread,
        wish.urgent,
        wish.headers,
    )
    service.create(name, wish.partitions)
    try:
        system.prepare(run)
        yield Stage(system, service, run, empty_bytes=service.size_of(name))
        run.log.unlink(missing_ok=True)
    finally:
        service.remove(name)
