"""Workloads 5 to 8: latency, failing jobs, priorities, delays."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import delays
from benchmarks.field import checking, work
from benchmarks.field.bench import Bench, Case
from benchmarks.field.contract import Feature, Figures, Setting, Submission, System
from benchmarks.field.stage import Stage, Wish
from benchmarks.field.watching import Tree

RATES = (10, 100, 1_000)
_SETTLED = 50
"""Jobs that run before anything is measured at a rate."""
_HIGH_RATE = 50.0
_IDLE = 5.0


def latency(bench: Bench, system: System) -> Iterator[Case]:
    """From the moment at which a job should be submitted until its handler begins; then rest."""
    with bench.stage(system, Wish(_ready(bench, system))) as stage, stage.working() as tree:
        stage.submit(Submission("stream", "noop", _SETTLED))
        stage.await_executions(tree, _SETTLED)
        for rate in RATES:
            count = max(20, int(rate * bench.sizes.paced))
            yield Case(f"{rate:,} jobs/s", _paced(stage, tree, count, float(rate)))
        yield Case("idle", _idle(stage, tree, min(_IDLE, bench.sizes.paced)))


def _ready(bench: Bench, system: System) -> Setting:
    """One process, as in a drain: its best setting."""
    return bench.best(system, 1)[0]


def _paced(
    stage: Stage, tree: Tree, count: int, rate: float, priority: str | None = None
) -> Figures:
    first = stage.submitted
    told = stage.submit(Submission("paced", "noop", count, rate=rate, priority=priority))
    stage.await_all(tree)
    return late(stage, first, count, told["start_ns"], rate)


def late(stage: Stage, first: int, count: int, start: float, rate: float) -> Figures:
    """Percentiles of how long after its intended moment each job began (ms)."""
    waits = sorted(
        (each.began - start - (each.number - first) * 1e9 / rate) / 1e6
        for each in checking.read(stage.run.log)
        if first <= each.number < first + count
    )
    if len(waits) < 2:
        return {"jobs": float(count), "lost": float(count - len(waits))}
    cuts = statistics.quantiles(waits, n=100, method="inclusive")
    return {
        "jobs": float(count),
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "max_ms": waits[-1],
        **checking.check(
            [each for each in checking.read(stage.run.log) if each.number >= first],
            range(first, first + count),
        ).figures(),
    }


def _idle(stage: Stage, tree: Tree, seconds: float) -> Figures:
    """What workers cost while nothing is to be done."""
    time.sleep(min(1.0, seconds))
    first = stage.look(tree)
    time.sleep(seconds)
    last = stage.look(tree)
    passed = last.at - first.at
    return {
        "cpu_percent": (last.workers.cpu - first.workers.cpu) / passed * 100,
        "service_cpu_percent": (last.service_cpu - first.service_cpu) / passed * 100,
        "rss_mb": sum(each.memory_info().rss for each in tree.processes()) / 2**20,
    }


def retries(bench: Bench, system: System) -> Iterator[Case]:
    """A tenth of all attempts fails; what fails three times is dead, and is run again."""
    setting, rate = bench.best(system, 1)
    moving = _with_mover(setting)
    with bench.stage(system, Wish(moving)) as stage:
        stage.submit(Submission("stream", "flaky", bench.full(system, rate)))
        expected = sum(work.executions(number) for number in range(stage.submitted))
        dead = sum(work.dies(number) for number in range(stage.submitted))
        with stage.working() as tree:
            figures = _retried(stage, tree)
            figures |= _letters(stage, dead)
            figures |= stage.verdict(work.executions).figures()
            if Feature.REPLAY in stage.system.features:
                figures |= _replayed(stage, tree, expected, dead)
    yield Case("a tenth of attempts fails", figures, {"setting": str(setting)})


def _with_mover(setting: Setting) -> Setting:
    """Systems that need a process of their own for what waits see it by the pool's name."""
    return Setting(setting.processes, setting.in_flight, setting.pool or "with-scheduler")


def _retried(stage: Stage, tree: Tree) -> Figures:
    stage.await_all(tree, work.executions)
    time.sleep(work.WAIT)
    executions = checking.read(stage.run.log)
    began = sorted(each.began for each in executions)
    most = began[int(len(began) * 0.05) : max(2, int(len(began) * 0.9))]
    return {
        "jobs": float(stage.submitted),
        "expected": float(sum(map(work.executions, range(stage.submitted)))),
        "executions": float(len(executions)),
        "per_s": (len(most) - 1) / max(1e-9, (most[-1] - most[0]) / 1e9),
        "settled_s": (began[-1] - began[0]) / 1e9,
    }


def _letters(stage: Stage, dead: int) -> Figures:
    """Count the dead; they may be on their way still."""
    if Feature.LETTERS not in stage.system.features:
        return {"dead_expected": float(dead)}
    deadline = time.monotonic() + 15
    while (found := stage.system.letters(stage.run)) != dead and time.monotonic() < deadline:
        time.sleep(0.5)
    return {"dead_expected": float(dead), "dead_found": float(found or 0)}


def _replayed(stage: Stage, tree: Tree, expected: int, dead: int) -> Figures:
    Path(f"{stage.run.log}.mended").touch()
    stage.system.replay(stage.run)
    stage.await_executions(tree, expected + dead)
    again = checking.count(stage.run.log) - expected
    Path(f"{stage.run.log}.mended").unlink()
    return {"replayed_expected": float(dead), "replayed": float(again)}


def priorities(bench: Bench, system: System) -> Iterator[Case]:
    """Urgent jobs at a rate: alone, and behind many that are not urgent."""
    setting, rate = bench.best(system, 1)
    low = bench.count(rate, bench.sizes.paced + 3)
    count = max(20, int(_HIGH_RATE * bench.sizes.paced))
    wish = Wish(setting, urgent=True)
    with bench.stage(system, wish) as stage, stage.working() as tree:
        stage.submit(Submission("stream", "noop", 10, priority="high"))
        stage.await_executions(tree, 10)
        yield Case("idle", _paced(stage, tree, count, _HIGH_RATE, "high"))
    with bench.stage(system, wish) as stage:
        stage.submit(Submission("stream", "noop", low, priority="low"))
        with stage.working() as tree:
            stage.await_executions(tree, max(1, low // 100))
            figures = _paced_beside(stage, tree, count)
            yield Case(f"behind {low:,} low ones", figures | stage.verdict().figures())


def _paced_beside(stage: Stage, tree: Tree, count: int) -> Figures:
    """As `_paced`, and tell how many others were still waiting when the last urgent one ran."""
    first = stage.submitted
    submission = Submission("paced", "noop", count, rate=_HIGH_RATE, priority="high")
    told = stage.submit(submission)
    waiting = stage.submitted - checking.count(stage.run.log)
    stage.await_all(tree)
    figures = late(stage, first, count, told["start_ns"], _HIGH_RATE)
    return figures | {"still_waiting": float(waiting)}


def delayed(bench: Bench, system: System) -> Iterator[Case]:
    """Jobs that wait for their time, see `benchmarks.delays`: one scheduler, replaced on the way."""
    jobs = bench.sizes.delayed
    title = f"{jobs:,} delayed jobs, due over {bench.sizes.due:.0f} s"
    yield Case(title, delays.measure("steady", jobs, rate=jobs / bench.sizes.due))
