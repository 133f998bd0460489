"""One worker process that drains what is preloaded and prints its rate: used by `quick`."""

import json
import resource
import sys
import threading
import time

from benchmarks.quick_pipeline import bench
from headrace.console.process.garbage import look_seldom
from headrace.consumers.worker import Worker, WorkerOptions


def main(count: int) -> None:
    """Drain `count` jobs; prints one line of JSON."""
    lanes = [lane for lane in bench.topology.lanes() if lane.priority == "normal"]
    worker = Worker(bench, lanes, concurrency=100, options=WorkerOptions())
    look_seldom()  # as `headrace worker` does
    thread = threading.Thread(target=worker.run)
    thread.start()
    (lane,) = worker.lanes.values()
    while not lane.buffer.started and not lane.figures.outcomes:
        time.sleep(0.001)
    begin, cpu = time.perf_counter(), time.process_time()
    first = sum(lane.figures.outcomes.values())
    while sum(lane.figures.outcomes.values()) < count:
        time.sleep(0.002)
    committed = lane.figures.commits
    while lane.partitions.owned and any(
        owned.ledger.running or owned.ledger.outstanding
        for owned in list(lane.partitions.owned.values())
    ):
        time.sleep(0.002)
    seconds = time.perf_counter() - begin
    spent = time.process_time() - cpu
    worker.stop()
    thread.join()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "jobs": count - first,
                "seconds": seconds,
                "per_s": (count - first) / seconds,
                "cpu_us_per_job": spent / (count - first) * 1e6,
                "commits": committed,
                "peak_rss_mb": memory,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
