"""Workloads 0 to 4: the sweep, submitting, draining, waiting jobs, CPU-bound jobs."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial

from benchmarks.field.bench import Bench, Case, attempt
from benchmarks.field.contract import Feature, Figures, ServiceKind, Setting, Submission, System
from benchmarks.field.stage import Wish

IN_FLIGHT = (1, 16, 64, 256, 1_000)
_WARM = 50
"""Submissions before the clock starts."""
_SWEEP_LIMIT = 2.5
_SUBMIT_SECONDS = 1.5
_NAP_SECONDS = 1.5


def sweep(bench: Bench, system: System) -> Iterator[Case]:
    """Short no-op drains with each setting; what is not over in some seconds is left."""
    for setting in system.sweep:
        measure = partial(drained, bench, system, Wish(setting), bench.sizes.sweep, _SWEEP_LIMIT)
        yield attempt(str(setting), measure, asdict(setting))


def submit(bench: Bench, system: System) -> Iterator[Case]:
    """Submit as fast as it can; one by one, each confirmed; a thousand at a time."""
    count = bench.sizes.submit
    for mode, title in (("stream", "pipelined"), ("single", "one by one"), ("batch", "1,000s")):
        order = Submission(
            mode, "noop", count, warm=min(_WARM, count // 2), seconds=_SUBMIT_SECONDS
        )
        yield attempt(title, partial(_submitted, bench, system, order))


def _submitted(bench: Bench, system: System, order: Submission) -> Figures:
    with bench.stage(system, Wish(bench.best(system)[0])) as stage:
        return stage.submit(order) | {"bytes_per_job": stage.bytes_per_job()}


def drain(bench: Bench, system: System) -> Iterator[Case]:
    """Preloaded jobs that do nothing: one worker process, and the best of the sweep with more."""
    single, rate = bench.best(system, 1)
    best, highest = bench.best(system)
    yield _noop(bench, system, "one process", Wish(single), rate)
    more, rate_of_more = bench.best(system, 2) if best.processes == 1 else (best, highest)
    if more.processes > 1 and system.service is not ServiceKind.REDIS_MEMORY:
        title = f"{more.processes} processes"
        yield _noop(bench, system, title, Wish(more), rate_of_more)
    if Feature.TRANSITIONS in system.features:
        wish = Wish(single, transitions=False)
        yield _noop(bench, system, "one process, transitions off", wish, rate)
    if Feature.HEADERS in system.features:
        wish = Wish(single, headers=True)
        yield _noop(bench, system, "one process, headers read", wish, rate)


def _noop(bench: Bench, system: System, title: str, wish: Wish, rate: float) -> Case:
    measure = partial(drained, bench, system, wish, bench.full(system, rate))
    return attempt(title, measure, {"setting": str(wish.setting)})


def naps(bench: Bench, system: System) -> Iterator[Case]:
    """Jobs that wait 5 ms, so many at a time in one process."""
    for in_flight in IN_FLIGHT:
        setting = system.setting_for("nap", in_flight)
        if setting is None:
            continue
        for wish in _placed(system, setting):
            keys = 1_000 if wish.ordered else 0
            rate = min(in_flight * 200.0, bench.best(system)[1])
            count = bench.count(rate, _NAP_SECONDS)
            measure = partial(drained, bench, system, wish, count, None, "nap", keys)
            title = _nap_title(system, in_flight, wish)
            yield attempt(title, measure, {"setting": str(setting)})


def _placed(system: System, setting: Setting) -> Iterator[Wish]:
    both = Feature.PARTITIONS in system.features
    for partitions in (1, 12) if both else (1,):
        yield Wish(setting, partitions)
        if Feature.ORDER in system.features:
            yield Wish(setting, partitions, ordered=True)


def _nap_title(system: System, in_flight: int, wish: Wish) -> str:
    parts = [f"{in_flight:,} in flight"]
    if Feature.PARTITIONS in system.features:
        parts.append(f"{wish.partitions} partition{'s' if wish.partitions > 1 else ''}")
    if wish.ordered:
        parts.append("ordered by key")
    return ", ".join(parts)


def spins(bench: Bench, system: System) -> Iterator[Case]:
    """Jobs that burn 2 ms and 20 ms of CPU time, with as many processes as are best."""
    for milliseconds in (2, 20):
        setting = system.setting_for(f"spin{milliseconds}", 2) or bench.best(system)[0]
        rate = min(2 * 1000 / milliseconds, bench.best(system)[1])
        kind = f"spin{milliseconds}"
        measure = partial(drained, bench, system, Wish(setting), bench.count(rate), None, kind)
        yield attempt(f"{milliseconds} ms", measure, {"setting": str(setting)})


def drained(
    bench: Bench,
    system: System,
    wish: Wish,
    count: int,
    limit: float | None = None,
    kind: str = "noop",
    keys: int = 0,
) -> Figures:
    """Preload, drain, check."""
    with bench.stage(system, wish) as stage:
        bound = limit or 0
        submitted = stage.submit(Submission("stream", kind, count, keys=keys, seconds=bound))
        figures = {"jobs": float(stage.submitted), "bytes_per_job": stage.bytes_per_job()}
        figures |= stage.drain(stage.submitted, limit)
        figures["submit_per_s"] = submitted["per_s"]
        if figures["complete"] or limit is None:
            figures |= stage.verdict().figures()
    return figures
