"""The projector's speed: `python -m benchmarks.projector`, or `--jobs 50000` for a first look.

Writes the transitions of so many jobs, 500 in a record as busy workers do, and measures

    project   how fast they get into an empty store (SQLite; PostgreSQL when HEADRACE_STORE_URL says so)
    rebuild   how long building it anew beside takes
    visible   at 1,000 transitions a second: from a transition's own time until the store has it

on an embedded broker of its own. The figures go to `build/bench-projector.json` too.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer
from sqlalchemy import func, select

from headrace.pipeline import Pipeline, broker
from headrace.pipeline.settings import KafkaSettings, StoreSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.processors.projector.projector import Projector
from headrace.processors.projector.rebuilding import rebuild
from headrace.processors.store import editions
from headrace.processors.store.engine import open_store, reading
from headrace.schemas.ids import new_job_id
from headrace.schemas.transitions import Transition, encode_batch

BATCH = 500
RATE = 1_000
"""Transitions a second, when it is measured how soon they are visible."""
SECONDS = 20
Figures = dict[str, float]


class Stream:
    """Writes transitions as workers do."""

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._events = pipeline.topology.events
        self._lane = next(pipeline.topology.lanes()).topic
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 5})
        self._offset = 0

    def write(self, count: int) -> int:
        """Write one record of so many; gives the time that they tell (epoch ms)."""
        now = time.time_ns() // 1_000_000
        told = [self._one(now) for _ in range(count)]
        self._producer.produce(self._events, encode_batch(told))
        self._producer.poll(0)
        return now

    def flush(self) -> None:
        """Wait until Kafka has all."""
        self._producer.flush(60)

    def _one(self, now: int) -> Transition:
        self._offset += 1
        return Transition(
            job_id=new_job_id(),
            job_type="email.send",
            state="succeeded",
            lane=self._lane,
            partition=0,
            offset=self._offset,
            attempt=1,
            step=1,
            generation=0,
            time=now,
            created=now - 20,
            worker="bench-1",
            started=now - 5,
            ended=now,
            tenant="acme",
        )


class Store:
    """Looks at the store from outside."""

    def __init__(self, pipeline: Pipeline, settings: StoreSettings) -> None:
        self.engine = open_store(settings)
        self._reading = reading(self.engine)
        self._pipeline = pipeline.name

    def count(self) -> int:
        """Jobs that are visible."""
        return self._ask(lambda jobs: select(func.count()).select_from(jobs))

    def newest(self) -> int:
        """The time of the newest transition that is visible (epoch ms)."""
        return self._ask(lambda jobs: select(func.max(jobs.c.updated)))

    def _ask(self, question: Callable[..., object]) -> int:
        with self._reading.connect() as connection:
            edition = editions.serving(connection, self._pipeline)
            if edition is None:
                return 0
            return int(connection.scalar(question(edition.tables.jobs)) or 0)  # type: ignore[call-overload]


@contextmanager
def projecting(
    pipeline: Pipeline, kafka: KafkaSettings, settings: StoreSettings
) -> Iterator[Projector]:
    """A projector on a thread of this process."""
    projector = Projector(pipeline, kafka, settings)
    thread = threading.Thread(target=projector.run)
    thread.start()
    try:
        yield projector
    finally:
        projector.stop()
        thread.join()


def visible(stream: Stream, store: Store) -> Figures:
    """From a transition's own time until a reader sees it: percentiles over all transitions."""
    late: list[int] = []
    written: list[int] = []
    seen = 0
    begin = time.monotonic()
    while time.monotonic() - begin < SECONDS:
        due = int((time.monotonic() - begin) * RATE) - len(written) * 20
        if due >= 20:
            written.append(stream.write(20))
        newest, now = store.newest(), time.time_ns() // 1_000_000
        while seen < len(written) and written[seen] <= newest:
            late.append(now - written[seen])
            seen += 1
        time.sleep(0.002)
    late.sort()
    return {
        "visible_p50_ms": late[len(late) // 2],
        "visible_p99_ms": late[int(len(late) * 0.99)],
        "visible_max_ms": late[-1],
    }


def measure(jobs: int, kafka: KafkaSettings, settings: StoreSettings) -> Figures:
    """All three, one after the other."""
    pipeline = Pipeline("bench")
    report = apply_plan(plan_topics(pipeline, kafka, load(TopicSettings)), kafka)
    if not report.ok:
        raise RuntimeError(report.summary)
    stream, store = Stream(pipeline, kafka), Store(pipeline, settings)
    for _ in range(jobs // BATCH):
        stream.write(BATCH)
    stream.flush()
    figures: Figures = {"jobs": jobs}
    cpu, begin = time.process_time(), time.perf_counter()
    with projecting(pipeline, kafka, settings):
        while store.count() < jobs:
            time.sleep(0.1)
        figures["projected_per_s"] = jobs / (time.perf_counter() - begin)
        figures["cpu_us_per_transition"] = (time.process_time() - cpu) / jobs * 1e6
        figures |= visible(stream, store)
    begin = time.perf_counter()
    rebuild(store.engine, pipeline, kafka, "bench")
    figures["rebuild_s"] = time.perf_counter() - begin
    store.engine.dispose()
    return figures


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        options = broker.BrokerOptions(directory=Path(directory), quick_start=False, heap_mb=1024)
        with broker.running(options) as address:
            kafka = load(KafkaSettings, bootstrap_servers=address.bootstrap)
            url = os.environ.get("HEADRACE_STORE_URL") or f"sqlite:///{directory}/store.db"
            settings = StoreSettings.model_validate({"store_url": url})
            figures = measure(chosen.jobs, kafka, settings)
    for what, value in figures.items():
        print(f"{what:<24}{value:>14,.1f}")
    target = Path("build/bench-projector.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
