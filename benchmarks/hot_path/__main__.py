"""Print the counts: by stage, and of the costliest functions; `--totals` alone, as JSON."""

import argparse
import json
from collections import Counter

from benchmarks.hot_path.paths import drained, submitted

_JOBS = 500
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
    "transition": ("transition_log.py", "transitions.py"),
    "ledger and commit": ("ledger.py", "commits.py", "commit_metadata.py", "finished_map.py"),
}
"""Of a drain, by the files whose functions they are; what belongs to none is told as the rest."""


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--totals", action="store_true", help="of a job, as JSON")
    totals = parser.parse_args().totals
    written, found = submitted(_JOBS), drained(_JOBS)
    if totals:
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


def by_stage(found: Counter[str]) -> Counter[str]:
    """Sum up the functions of each stage."""
    of_file = {file: stage for stage, files in STAGES.items() for file in files}
    stages: Counter[str] = Counter()
    for function, number in found.items():
        stages[of_file.get(function.partition(":")[0], "tuples, clock and the rest")] += number
    return stages


if __name__ == "__main__":
    main()
