"""The store must tell what the topics tell, whatever happens to those who write it.

What can go wrong: a projector that dies loses or repeats a part of the stream; two of them write over
each other; a store that is made anew misses jobs; a topic that was made anew or shortened, or a record
that nobody understands, stops everything.
"""

import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer as RawProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.pipeline import Pipeline
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.settings import KafkaSettings, StoreSettings
from headrace.processors.job_history import JobHistory
from headrace.processors.job_view import JobSummary
from headrace.processors.projector.distance import behind
from headrace.processors.projector.projector import Projector
from headrace.processors.projector.rebuilding import rebuild
from headrace.processors.store import editions
from headrace.processors.store.engine import open_store
from headrace.processors.store.reading import StoreReader
from headrace.processors.store.rows import rows_of
from headrace.processors.store.writing import Batch, Writer
from headrace.producers import Producer
from headrace.schemas.states import JobState
from tests.processors.view_shop import (
    kafka_settings,
    make_shop,
    make_topics,
    scheduling,
    working,
)
from tests.store.evidence import transition
from tests.support.stage import wait_until

pytestmark = pytest.mark.kafka
JOBS = 60


class World:
    """A shop whose jobs have ended in every way, and a store of its own."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.kafka: KafkaSettings = kafka_settings(bootstrap)
        self.shop: Pipeline = make_shop(f"p{uuid.uuid4().hex[:8]}")
        self.folder = folder
        self.settings = store_in(folder)
        make_topics(self.shop, self.kafka)

    def live(self, jobs: int = JOBS) -> None:
        """Submit jobs of all kinds, and run them."""
        self.submit(jobs)
        with working(self.shop, self.kafka), scheduling(self.shop, self.kafka):
            history = JobHistory(self.shop, self.kafka)

            def unfinished() -> int:
                found = history.newest(limit=10_000)
                return sum(not JobState(job.state).is_final for job in found)

            wait_until("all but the idle ones have ended", lambda: unfinished() == jobs // 4)

    def submit(self, jobs: int) -> None:
        with Producer(self.shop, kafka=self.kafka) as producer:
            for number in range(jobs // 4):
                producer.submit("greet", {"name": f"n{number}"}, tenant="acme")
                producer.submit("fail", {"order": number}, key=f"k{number}")
                producer.submit("reject", {"why": "no"})
                producer.submit("idle", {"number": number})

    def told_by_kafka(self) -> dict[str, JobSummary]:
        """A plain recount of the topics."""
        found = JobHistory(self.shop, self.kafka).newest(limit=10_000)
        return {job.job_id: job for job in found}

    @contextmanager
    def store(self, settings: StoreSettings | None = None) -> Iterator[StoreReader]:
        engine = open_store(settings or self.settings)
        try:
            yield StoreReader(engine, self.shop.name)
        finally:
            engine.dispose()

    def told_by_store(self, settings: StoreSettings | None = None) -> dict[str, JobSummary]:
        with self.store(settings) as reader:
            if reader.edition() is None:
                return {}
            return {job.job_id: job for job in reader.page(limit=10_000).jobs}

    @contextmanager
    def projecting(self, settings: StoreSettings | None = None) -> Iterator[Projector]:
        projector = Projector(self.shop, self.kafka, settings or self.settings)
        thread = threading.Thread(target=projector.run, name="projector")
        thread.start()
        try:
            yield projector
        finally:
            projector.stop()
            thread.join(30)
            assert not thread.is_alive()

    def await_agreement(self, settings: StoreSettings | None = None) -> None:
        """Wait until the store tells of all jobs what the topics tell."""
        wanted = self.told_by_kafka()
        wait_until("the store agrees", lambda: self.told_by_store(settings) == wanted)


def store_in(folder: Path, name: str = "store.db") -> StoreSettings:
    return StoreSettings.model_validate({"store_url": f"sqlite:///{folder / name}"})


@pytest.fixture(scope="module")
def lived(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose jobs are over; tests read it with stores of their own."""
    world = World(kafka, tmp_path_factory.mktemp("lived"))
    world.live()
    return world


@pytest.fixture
def world(kafka: str, tmp_path: Path) -> World:
    return World(kafka, tmp_path)


def states(jobs: dict[str, JobSummary]) -> Counter[str]:
    return Counter(job.state for job in jobs.values())


def test_the_store_tells_of_every_job_what_the_topics_tell(lived: World) -> None:
    with lived.projecting():
        lived.await_agreement()
    told = lived.told_by_store()
    quarter = JOBS // 4
    assert states(told) == {"succeeded": quarter, "dead": 2 * quarter, "queued": quarter}
    with lived.store() as reader:
        totals = Counter[str]()
        for total in reader.totals():
            totals[total.state] += total.jobs
        assert totals == states(told)
        failed = next(job for job in told.values() if job.job_type == "fail")
        life = reader.life(failed.job_id)
    assert life is not None
    assert [(event.told_by, event.state) for event in life.events] == [
        ("transition", "retrying"),
        ("record", "retrying"),
        ("transition", "dead"),
        ("record", "dead"),
    ]


def test_the_arguments_lie_where_the_store_says(lived: World, tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    with lived.projecting(settings):
        lived.await_agreement(settings)
    with lived.store(settings) as reader:
        job_id = next(id for id, job in lived.told_by_store(settings).items())
        life = reader.life(job_id)
    assert life is not None
    consumer = make_reader(lived.kafka)
    consumer.assign([TopicPartition(life.job.topic, life.job.partition, life.job.offset)])
    message = consumer.poll(10)
    consumer.close()
    assert message is not None
    assert dict(message.headers() or ())["ce_id"] == job_id.encode()


def test_a_killed_projector_loses_nothing_and_repeats_nothing(world: World) -> None:
    script = (
        "import sys; from pathlib import Path; "
        "from tests.processors.view_shop import kafka_settings, make_shop; "
        "from tests.store.test_projector import store_in; "
        "from headrace.processors.projector.projector import Projector; "
        "name, bootstrap, folder = sys.argv[1:]; "
        "Projector(make_shop(name), kafka_settings(bootstrap), store_in(Path(folder))).run()"
    )
    bootstrap = world.kafka.bootstrap_servers or ""
    command = [sys.executable, "-c", script, world.shop.name, bootstrap, str(world.folder)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as first:
        world.live()
        wait_until("some of it is written", lambda: bool(world.told_by_store()))
        first.send_signal(signal.SIGKILL)
    world.submit(20)
    with world.projecting():
        world.await_agreement()
    with world.store() as reader:
        assert sum(total.jobs for total in reader.totals()) == JOBS + 20


def test_one_writes_and_the_other_takes_over(lived: World, tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    with lived.projecting(settings) as first:
        wait_until("the first one writes", lambda: first.written > 0)
        with lived.projecting(settings) as second:
            wait_until("the second one stands by", lambda: second.last_write > 0)
            assert second.written == 0
            first.stop()
            wait_until("the second one owns it", lambda: owner(settings, lived) == second.owner)
            lived.await_agreement(settings)


def owner(settings: StoreSettings, world: World) -> str:
    with world.store(settings) as reader:
        edition = reader.edition()
        return "" if edition is None else edition.owner


def test_a_store_whose_file_was_removed_comes_back_whole(lived: World, tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    with lived.projecting(settings):
        lived.await_agreement(settings)
    for file in tmp_path.glob("store.db*"):
        file.unlink()
    with lived.projecting(settings):
        lived.await_agreement(settings)


def test_a_rebuild_never_shows_less_and_the_projector_goes_on_with_it(
    lived: World, tmp_path: Path
) -> None:
    settings = store_in(tmp_path)
    with lived.projecting(settings) as projector:
        lived.await_agreement(settings)
        before = editions_of(settings, lived)
        engine = open_store(settings)
        told: list[tuple[int, int]] = []
        seen: list[int] = []

        def progress(done: int, total: int) -> None:
            told.append((done, total))
            seen.append(len(lived.told_by_store(settings)))

        edition = rebuild(engine, lived.shop, lived.kafka, "rebuild", progress)
        engine.dispose()
        assert set(seen) == {JOBS}
        assert told[-1][0] <= told[-1][1]
        assert before != [edition.number]
        assert editions_of(settings, lived) == [edition.number]
        wait_until("it goes on", lambda: owner(settings, lived) == projector.owner)
        lived.await_agreement(settings)
        distance = behind_of(settings, lived)
        wait_until("it has read all", lambda: not any(behind_of(settings, lived).values()))
        assert distance.keys() == behind_of(settings, lived).keys()


def test_a_rebuild_keeps_what_kafka_does_not_tell_any_more(lived: World, tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    with lived.projecting(settings):
        lived.await_agreement(settings)
    engine = open_store(settings)
    edition = editions.ensure(engine, lived.shop.name)
    assert editions.claim(engine, edition, "test")
    lost = transition("told-by-nobody", time=editions.now_ms())
    job, event = rows_of(lost, lived.shop.topology)
    assert event is not None
    Writer(engine, edition, "test").write(Batch([job], [event], {("gone", 0): 1}))
    rebuild(engine, lived.shop, lived.kafka, "rebuild")
    reader = StoreReader(engine, lived.shop.name)
    found = reader.life("told-by-nobody")
    totals = sum(total.jobs for total in reader.totals())
    engine.dispose()
    assert found is not None
    assert found.events == (event,)
    assert totals == JOBS + 1


def editions_of(settings: StoreSettings, world: World) -> list[int]:
    engine = open_store(settings)
    found = [each.number for each in editions.look(engine, world.shop.name)]
    engine.dispose()
    return found


def behind_of(settings: StoreSettings, world: World) -> dict[str, int]:
    engine = open_store(settings)
    try:
        (edition,) = editions.look(engine, world.shop.name)
        return behind(engine, edition, world.shop, world.kafka)
    finally:
        engine.dispose()


def test_foreign_records_are_noted_and_stop_nothing(world: World) -> None:
    raw = RawProducer({"bootstrap.servers": world.kafka.bootstrap_servers})
    for value in (b"", b"\x00junk", b"\xc3\x01" + b"\x07" * 8 + b"what"):
        raw.produce(world.shop.topology.events, value, partition=0)
    raw.produce(f"{world.shop.name}.default.normal", b"\xff", headers=[("x", b"\xff")])
    assert raw.flush(10) == 0
    world.live()
    with world.projecting():
        world.await_agreement()
    with world.store() as reader:
        assert sum(gap.records for gap in reader.gaps()) == 3


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(world: World) -> None:
    with world.projecting():
        world.live()
        world.await_agreement()
    before = world.told_by_store()
    idle = f"{world.shop.name}.idle.normal"
    admin = AdminClient({"bootstrap.servers": world.kafka.bootstrap_servers})
    admin.delete_topics([idle])[idle].result(30)
    wait_until("it is gone", lambda: idle not in admin.list_topics(timeout=10).topics)
    make_topics(world.shop, world.kafka)
    with Producer(world.shop, kafka=world.kafka) as producer:
        fresh = producer.submit("idle", {"number": 99}).job_id
    with world.projecting():
        wait_until("the new one is there", lambda: fresh in world.told_by_store())
    assert before.keys() <= world.told_by_store().keys()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """A database that says it is full for as long as it is told to."""
    import sqlite3

    from headrace.processors.store import writing

    write, refused = writing._many, [False]

    def refuse(*given: object) -> None:
        if refused[0]:
            from sqlalchemy.exc import OperationalError

            cause = sqlite3.OperationalError("database or disk is full")
            raise OperationalError("INSERT", {}, cause)
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "_many", refuse)

    def set_full(state: bool) -> None:
        refused[0] = state

    yield set_full
    refused[0] = False


def test_a_full_disk_is_waited_for(
    lived: World, tmp_path: Path, full: Callable[[bool], None]
) -> None:
    settings = store_in(tmp_path)
    full(True)
    with lived.projecting(settings) as projector:
        wait_until("it owns the store", lambda: owner(settings, lived) == projector.owner)
        assert lived.told_by_store(settings) == {}
        full(False)
        lived.await_agreement(settings)
