"""All systems side by side: `make bench`, or `python -m benchmarks.field.run --help`.

Systems take turns, run by run, so that a disturbance of the machine meets all of them. Each result
is kept as soon as it is made, under build/bench/results; a second call makes what is missing.
"""

import argparse
import signal
import sys
from pathlib import Path

from benchmarks.field import machine
from benchmarks.field.bench import Bench, Sizes
from benchmarks.field.catalog import SYSTEMS
from benchmarks.field.contract import NotInstalledError, System
from benchmarks.field.progress import duration
from benchmarks.field.results import Results
from benchmarks.field.services import Services
from benchmarks.field.steps import measure, missing
from benchmarks.field.workloads.catalog import WORKLOADS

RESULTS = Path("build/bench/results")


def main() -> None:
    """Measure what is asked for and not there yet."""
    # As Ctrl-C: brokers and workers that were started are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = _arguments()
    systems = [each for each in SYSTEMS if not chosen.only or each.name in chosen.only]
    workloads = [w for w in WORKLOADS if not chosen.workload or w.number in chosen.workload]
    quick = chosen.quick or chosen.jobs is not None
    sizes = Sizes.quick(chosen.jobs or 1_000) if quick else Sizes()
    results = Results(chosen.results or (RESULTS.with_name("quick") if quick else RESULTS))
    results.write_file(results.folder / "machine.json", machine.describe())
    with Services() as services:
        bench = Bench(services, results, sizes)
        able = [system for system in systems if available(bench, system)]
        steps = missing(
            results, workloads, able, lambda each: chosen.repeats or (1 if quick else each.repeats)
        )
        expected = sum(step.workload.seconds for step in steps)
        print(f"{len(steps)} runs" + ("" if quick else f", some {duration(expected)}"), flush=True)
        failed = measure(bench, steps)
    if failed:
        sys.exit(
            f"{failed} runs failed, see {results.folder}/*/*/*.failed; the next call repeats them"
        )


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


if __name__ == "__main__":
    main()
