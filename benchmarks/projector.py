"""The projector's speed: `python -m benchmarks.projector`, or `--jobs 50000` for a first look.

Writes the transitions of so many jobs, 500 in a record as busy workers do, and measures

    project   how fast they get into an empty store (SQLite; PostgreSQL when HEADRACE_STORE_URL says so)
    visible   at 1,000 jobs a second, each with its record on the lane: from the end that a transition
              tells until a reader of the store sees it
    rebuild   how long building it anew beside takes, all jobs' lane records read as well

on an embedded broker of its own, each figure beside the one that it must reach. They go to
`build/bench-projector.json` too. The store's tables are removed at the end.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer
from sqlalchemy import select

from headrace.pipeline import Pipeline, broker
from headrace.pipeline.settings import KafkaSettings, StoreSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.processors.projector.projector import Projector
from headrace.processors.projector.rebuilding import rebuild
from headrace.processors.store import editions
from headrace.processors.store.engine import open_store, reading
from headrace.schemas import headers
from headrace.schemas.ids import new_job_id
from headrace.schemas.transitions import Transition, encode_batch

BATCH = 500
RATE = 1_000
"""Jobs a second, when it is measured how soon they are visible."""
AT_ONCE = 20
"""Of them in one record."""
SECONDS = 20
GRACE = 30
"""Seconds more until the last one must be visible."""
Figures = dict[str, float]
Headers = list[tuple[str, str | bytes | None]]
WANTED = {
    "sqlite_per_s": "at least 10,000",
    "postgresql_per_s": "at least 5,000",
    "visible_p99_ms": "at most 300",
    "rebuild_s_per_1m_jobs": "at most 180",
}


class Stream:
    """Writes what services and workers write of jobs."""

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._events = pipeline.topology.events
        self._lane = next(pipeline.topology.lanes()).topic
        self._headers = headers.for_submission(pipeline.name, "email.send", self._lane)
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 5})
        self._offset = 0

    def transitions(self, count: int) -> list[Transition]:
        """Make the transitions of so many new jobs."""
        now = time.time_ns() // 1_000_000
        return [self._one(now) for _ in range(count)]

    def tell(self, told: list[Transition]) -> None:
        """Write them as one record."""
        self._produce(self._events, encode_batch(told), None, None)

    def submit(self, job_ids: Iterable[str], created: int) -> None:
        """Write the jobs' own records."""
        when = headers.format_time(created).encode()
        for job_id in job_ids:
            key = job_id.encode()
            mine: Headers = [*self._headers, (headers.ID, key), (headers.TIME, when)]
            self._produce(self._lane, b"\0" * 60, key, mine)

    def flush(self) -> None:
        """Wait until Kafka has all."""
        self._producer.flush(120)

    def _produce(self, topic: str, value: bytes, key: bytes | None, given: Headers | None) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, headers=given)
            except BufferError:  # the queue is full: wait for Kafka
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

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
            step=0,
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

    def ended(self, job_ids: Sequence[str]) -> set[str]:
        """Which of some jobs are shown as ended."""
        with self._reading.connect() as connection:
            edition = editions.serving(connection, self._pipeline)
            if edition is None:
                return set()
            jobs = edition.tables.jobs.c
            # With the state as a condition SQLite goes through all that have it.
            asked = select(jobs.job_id, jobs.state).where(jobs.job_id.in_(job_ids))
            return {job_id for job_id, state in connection.execute(asked) if state == "succeeded"}

    def remove(self) -> None:
        """Leave nothing behind in a database that stays."""
        for edition in editions.look(self.engine, self._pipeline):
            editions.drop(self.engine, edition)
        self.engine.dispose()


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
    """From a job's end until a reader sees it: percentiles over the last job of each record."""
    late: list[int] = []
    waiting: dict[str, int] = {}
    written, begin = 0, time.monotonic()
    while (now := time.monotonic() - begin) < SECONDS or (waiting and now < SECONDS + GRACE):
        if now < SECONDS and now * RATE - written >= AT_ONCE:
            told = stream.transitions(AT_ONCE)
            stream.submit([each.job_id for each in told], told[0].created)
            stream.tell(told)
            waiting[told[-1].job_id] = told[-1].time
            written += AT_ONCE
        seen = store.ended(list(waiting)[:100]) if waiting else set()
        at = time.time_ns() // 1_000_000
        late += [at - waiting.pop(job_id) for job_id in seen]
        time.sleep(0.002)
    late.sort()
    if waiting or not late:
        raise RuntimeError(f"{len(waiting)} records were not visible {GRACE} s after the last one")
    return {
        "jobs_per_s": written / SECONDS,
        "visible_p50_ms": late[len(late) // 2],
        "visible_p99_ms": late[int(len(late) * 0.99)],
        "visible_max_ms": late[-1],
    }


def projected(jobs: int, projector: Projector) -> Figures:
    """Wait until an empty store has so many jobs, each with a row and an event."""
    while projector.written == 0:
        time.sleep(0.005)
    first, cpu, begin = projector.written, time.process_time(), time.perf_counter()
    while projector.written < 2 * jobs:
        time.sleep(0.05)
    seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    left = jobs - first // 2
    if left < jobs // 2:
        raise RuntimeError(
            f"{jobs:,} jobs are too few to measure: the first batch had most of them"
        )
    return {"projected_per_s": left / seconds, "cpu_us_per_transition": used / left * 1e6}


def measure(jobs: int, kafka: KafkaSettings, settings: StoreSettings) -> Figures:
    """All three, one after the other."""
    pipeline = Pipeline(f"bench{time.time_ns():x}")
    report = apply_plan(plan_topics(pipeline, kafka, load(TopicSettings)), kafka)
    if not report.ok:
        raise RuntimeError(report.summary)
    stream, store = Stream(pipeline, kafka), Store(pipeline, settings)
    batches: list[tuple[int, list[str]]] = []
    for _ in range(jobs // BATCH):
        told = stream.transitions(BATCH)
        stream.tell(told)
        batches.append((told[0].created, [each.job_id for each in told]))
    stream.flush()
    figures: Figures = {"jobs": jobs}
    try:
        with projecting(pipeline, kafka, settings) as projector:
            found = projected(len(batches) * BATCH, projector)
            figures[f"{store.engine.dialect.name}_per_s"] = found.pop("projected_per_s")
            figures |= found
            figures |= visible(stream, store)
        for created, job_ids in batches:
            stream.submit(job_ids, created)
        stream.flush()
        begin = time.perf_counter()
        rebuild(store.engine, pipeline, kafka, "bench")
        figures["rebuild_s"] = time.perf_counter() - begin
        figures["rebuild_s_per_1m_jobs"] = figures["rebuild_s"] / (jobs + SECONDS * RATE) * 1e6
    finally:
        store.remove()
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
        print(f"{what:<24}{value:>14,.1f}  {WANTED.get(what, '')}".rstrip())
    target = Path("build/bench-projector.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
