"""How long operators wait for their dead letters: `python -m benchmarks.dead_letters [LETTERS]`.

Fills a dead-letter topic on a broker of its own, as workers write it (some 1.8 kB a letter with its
traceback), then lists, counts, discards and exports. Prints a table and writes
`build/bench-dead-letters.json`. The figure to reach: a list of 100,000 letters with a filter within
10 s. The newest 20 are the worst case here: all letters claim to have died before the first was
stored, so all must be read to be sure of the newest.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.fill_letters import fill
from benchmarks.quick import kafka
from benchmarks.quick_pipeline import bench
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.processors.dead_letter_stats import count
from headrace.processors.dead_letter_view import DeadLetters
from headrace.processors.repair.discard import choose, discard
from headrace.processors.repair.letter_filter import ANY_LETTER, OPEN_LETTERS, LetterFilter
from headrace.processors.repair.transfer import export_line

LETTERS = 100_000
Figures = dict[str, float]


def timed(figures: Figures, name: str, work: Callable[[], int], least: int) -> None:
    """Note how long it takes, what of it is computing here, and that it found what is there."""
    began, cpu = time.perf_counter(), time.process_time()
    found = work()
    figures[f"{name}_s"] = time.perf_counter() - began
    figures[f"{name}_cpu_s"] = time.process_time() - cpu
    figures[f"{name}_memory_mb"] = most_memory()
    assert found >= least, f"{name}: {found} of {least}"


def measure(bootstrap: str, letters: int) -> Figures:
    """Fill, list by a header, by a text, count, export, discard a half, list again."""
    settings = load(KafkaSettings, bootstrap_servers=bootstrap)
    apply_plan(plan_topics(bench, settings, load(TopicSettings)), settings)
    figures: Figures = {"letters": letters, "fill_s": fill(bootstrap, letters)}
    figures["filled_memory_mb"] = most_memory()
    view = DeadLetters(bench, settings)
    tenant = LetterFilter(tenants=("tenant-7",), errors=("ValueError",))
    text = LetterFilter(text="order 77 was refused")
    half = LetterFilter(tenants=tuple(f"tenant-{number}" for number in range(25)))

    def discard_half() -> int:
        chosen = choose(view.select(half))
        now = time.time_ns() // 1_000_000
        return discard(bench.topology, settings, chosen, by="b", reason="b", now=now)

    timed(figures, "newest_20", lambda: len(view.newest(OPEN_LETTERS)), 20)
    timed(figures, "list_by_tenant_and_error", lambda: len(view.newest(tenant, letters)), 100)
    timed(figures, "list_by_text", lambda: len(view.newest(text, letters)), 1)
    timed(figures, "stats", lambda: count(view.select(ANY_LETTER)).total, letters)
    timed(figures, "export", lambda: sum(1 for _ in map(export_line, view.select())), letters)
    timed(figures, "discard_half", discard_half, letters // 2)
    timed(figures, "list_beside_discarded", lambda: len(view.newest(tenant, letters)), 0)
    figures["memory_mb"] = most_memory()
    return figures


def most_memory() -> float:
    """The largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure, print, write."""
    letters = int(sys.argv[1]) if len(sys.argv) > 1 else LETTERS
    with kafka() as bootstrap:
        figures = measure(bootstrap, letters)
    for name, figure in figures.items():
        print(f"{name:<28}{figure:>12,.2f}")
    target = Path("build/bench-dead-letters.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
