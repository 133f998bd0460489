"""All systems side by side: `make bench`, or `python -m benchmarks.field.run --help`.

Systems take turns, run by run, so that a disturbance of the machine meets all of them. Each result
is kept as soon as it is made, under build/bench/results; a second call makes what is missing.
"""

import argparse
import signal
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks.field import machine
from benchmarks.field.bench import Bench, Sizes
from benchmarks.field.catalog import SYSTEMS
from benchmarks.field.contract import NotInstalledError, System
from benchmarks.field.results import Results
from benchmarks.field.services import Services
from benchmarks.field.workloads.catalog import WORKLOADS, Workload

RESULTS = Path("build/bench/results")


def main() -> None:
    """Measure what is asked for and not there yet."""
    # As Ctrl-C: brokers and workers that were started are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = _arguments()
    systems = [each for each in SYSTEMS if not chosen.only or each.name in chosen.only]
    workloads = [each for each in WORKLOADS if _wanted(each, chosen.workload)]
    quick = chosen.quick or chosen.jobs is not None
    sizes = Sizes.quick(chosen.jobs or 1_000) if quick else Sizes()
    results = Results(chosen.results or (RESULTS.with_name("quick") if quick else RESULTS))
    results.write_file(results.folder / "machine.json", machine.describe())
    with Services() as services:
        bench = Bench(services, results, sizes)
        able = [system for system in systems if available(bench, system)]
        for workload in workloads:
            repeats = 1 if quick else chosen.repeats or workload.repeats
            in_turns(bench, workload, able, repeats)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    names = [system.name for system in SYSTEMS]
    numbers = [workload.number for workload in WORKLOADS]
    parser.add_argument("--only", action="append", choices=names, metavar="SYSTEM", help=str(names))
    parser.add_argument("--workload", action="append", type=int, choices=numbers)
    parser.add_argument("--repeats", type=int, help="of each workload; its own number if not given")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: the figures mean nothing"
    )
    parser.add_argument("--jobs", type=int, help="with --quick: so many at most")
    parser.add_argument("--results", type=Path, help=f"{RESULTS}, or beside it with --quick")
    return parser.parse_args()


def _wanted(workload: Workload, numbers: Sequence[int] | None) -> bool:
    # Without its sweep a system would run with its first setting.
    return not numbers or workload.number in numbers


def available(bench: Bench, system: System) -> bool:
    """Install a system, and keep its versions, or why it is not there."""
    about: dict[str, object] = {
        "title": system.title,
        "durability": system.durability,
        "source": system.source,
        "service": str(system.service),
        "features": sorted(system.features),
        "sweep": [str(setting) for setting in system.sweep],
    }
    try:
        about["versions"] = system.install()
        about["service_version"] = bench.services.get(system.service).version
    except (NotInstalledError, OSError) as error:
        about["missing"] = str(error)
        print(f"{system.title} is left out: {error}")
    bench.results.write_file(bench.results.folder / "systems" / f"{system.name}.json", about)
    return "missing" not in about


def in_turns(bench: Bench, workload: Workload, systems: Sequence[System], repeats: int) -> None:
    """Run a workload of all systems, one run of each after the other."""
    for run in range(1, repeats + 1):
        for system in systems:
            if workload.wanted(system) and not bench.results.has(workload.name, system.name, run):
                once(bench, workload, system, run)


def once(bench: Bench, workload: Workload, system: System, run: int) -> None:
    """Make one result, and keep it. One that fails is told, and tried again by the next call."""
    begin = time.monotonic()
    try:
        cases = [case.document() for case in workload.measure(bench, system)]
    except Exception as error:
        print(f"{workload.name:<14}{system.name:<24} failed: {_first_line(error)}")
        failed = bench.results.path(workload.name, system.name, run).with_suffix(".failed")
        failed.parent.mkdir(parents=True, exist_ok=True)
        failed.write_text(traceback.format_exc())
        return
    seconds = time.monotonic() - begin
    bench.results.write(workload.name, system.name, run, {"cases": cases, "seconds": seconds})
    told = ", ".join(_told(case) for case in cases)
    print(f"{workload.name:<14}{system.name:<24}{seconds:>5.0f} s  {told}", flush=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _told(case: dict[str, object]) -> str:
    figures = case["figures"]
    assert isinstance(figures, dict)
    for name, unit in (("per_s", "/s"), ("p50_ms", " ms"), ("cpu_percent", " %")):
        if name in figures:
            return f"{case['case']}: {figures[name]:,.1f}{unit}"
    return str(case["case"])


if __name__ == "__main__":
    main()
