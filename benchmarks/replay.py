"""How fast dead letters are replayed: `python -m benchmarks.replay [LETTERS]`.

Fills a dead-letter topic on a broker of its own, tries a replay dry, and replays unthrottled. Prints
a table and writes `build/bench-replay.json`. The figure to reach is 5,000 letters a second.
"""

import json
import sys
import threading
import time
from pathlib import Path

from benchmarks.fill_letters import fill
from benchmarks.quick import kafka
from benchmarks.quick_pipeline import bench
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.processors.repair.replay_definition import ReplayOptions
from headrace.processors.repair.replays import Replays

LETTERS = 50_000
Figures = dict[str, float]


def measure(bootstrap: str, letters: int) -> Figures:
    """Fill, dry run, replay."""
    settings = load(KafkaSettings, bootstrap_servers=bootstrap)
    apply_plan(plan_topics(bench, settings, load(TopicSettings)), settings)
    figures: Figures = {"letters": letters, "fill_s": fill(bootstrap, letters)}
    replays, options = Replays(bench, settings), ReplayOptions()
    began = time.perf_counter()
    assert replays.dry_run(options).would_run == letters
    figures["dry_run_s"] = time.perf_counter() - began
    began = time.perf_counter()
    definition = replays.define(options)
    assert definition is not None
    figures["define_s"] = time.perf_counter() - began
    began, cpu = time.perf_counter(), time.process_time()
    ended = replays.begin(definition, threading.Event())
    seconds = time.perf_counter() - began
    assert ended.progress.replayed == letters, ended.progress.summary()
    figures |= {
        "replay_s": seconds,
        "replay_per_s": letters / seconds,
        "replay_cpu_us_per_letter": (time.process_time() - cpu) / letters * 1e6,
    }
    return figures


def main() -> None:
    """Measure, print, write."""
    letters = int(sys.argv[1]) if len(sys.argv) > 1 else LETTERS
    with kafka() as bootstrap:
        figures = measure(bootstrap, letters)
    for name in sorted(figures):
        print(f"{name:<26}{figures[name]:>14,.2f}")
    target = Path("build/bench-replay.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
