"""Print the counts: by stage, and of the costliest functions; `--totals` alone, as JSON.

With `--time` the time instead, by samples: of one thread, with clients that answer at once.
"""

import argparse
import json
from collections import Counter

from benchmarks.hot_path.counting import counted
from benchmarks.hot_path.paths import drained, submitted
from benchmarks.hot_path.sampling import Sampled, sampled
from headrace.console.process.garbage import look_seldom

_JOBS = 500
_MANY = 50_000
"""Jobs that are timed."""
_SHOWN = 30
STAGES = {
    "poll and admit": ("lane.py", "member.py", "execution.py", "recent.py", "clients.py"),
    "read headers": ("headers.py",),
    "gate and slots": ("dispatch.py", "owned.py", "slots.py", "suspects.py", "held.py"),
    "event loop": ("async_executor.py", "base_events.py", "events.py", "_weakrefset.py"),
    "arguments and handler": (
        "running.py",
        "contract.py",
        "record_codec.py",
        "parsed.py",
        "arguments.py",
        "paths.py",
    ),
    "what becomes of it": ("retry.py", "settling.py", "dropping.py", "attempt_log.py"),
    "count and record": ("figures.py", "series.py", "recording.py"),
    "transition": ("transition_log.py", "transitions.py", "plain_avro.py"),
    "ledger and commit": ("ledger.py", "commits.py", "commit_metadata.py", "finished_map.py"),
}
"""Of a drain, by the files whose functions they are; what belongs to none is told as the rest."""


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--totals", action="store_true", help="of a job, as JSON")
    parser.add_argument("--time", action="store_true", help="microseconds instead of instructions")
    wanted = parser.parse_args()
    if wanted.time:
        look_seldom()  # as `headrace worker` does
        tell_time("submit", submitted(_MANY, sampled))
        tell_time("drain", drained(_MANY, sampled))
        return
    written, found = submitted(_JOBS, counted), drained(_JOBS, counted)
    if wanted.totals:
        print(json.dumps({"submit": written.total() / _JOBS, "drain": found.total() / _JOBS}))
        return
    tell("submit", written)
    tell("drain", found)
    for stage, number in by_stage(found).most_common():
        print(f"{number / _JOBS:10.1f}  {stage}")


def tell(name: str, found: Counter[str]) -> None:
    """Print what a job costs in all, and where."""
    print(f"{name}: {found.total() / _JOBS:,.1f} bytecode instructions a job")
    for function, number in found.most_common(_SHOWN):
        print(f"{number / _JOBS:10.1f}  {function}")


def tell_time(name: str, found: Sampled) -> None:
    """Print how long a job takes in all, and how its samples are shared out."""
    whole = found.seconds / _MANY * 1e6
    share = whole / found.samples.total()
    print(f"{name}: {whole:,.1f} µs of CPU time a job")
    lines = found.samples if name == "submit" else by_stage(found.samples)
    for what, number in lines.most_common(_SHOWN):
        print(f"{number * share:10.2f}  {what}")


def by_stage(found: Counter[str]) -> Counter[str]:
    """Sum up the functions of each stage."""
    of_file = {file: stage for stage, files in STAGES.items() for file in files}
    stages: Counter[str] = Counter()
    for function, number in found.items():
        stages[of_file.get(function.partition(":")[0], "tuples, clock and the rest")] += number
    return stages


if __name__ == "__main__":
    main()
