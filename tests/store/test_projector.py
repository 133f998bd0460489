"""The store must tell what the topics tell, whatever happens to those who write it.

What can go wrong: a projector that dies loses or repeats a part of the stream; two of them write over
each other; a store that is made anew misses jobs.
"""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from headrace.pipeline.kafka import make_reader
from headrace.pipeline.settings import StoreSettings
from headrace.processors.projector.distance import behind
from headrace.processors.projector.rebuilding import rebuild
from headrace.processors.store import editions
from headrace.processors.store.engine import open_store
from headrace.processors.store.reading import StoreReader
from headrace.processors.store.rows import rows_of
from headrace.processors.store.writing import Batch, Writer
from tests.store.evidence import transition
from tests.store.world import JOBS, World, owner, states, store_in
from tests.support.stage import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def lived(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose jobs are over; tests read it with stores of their own."""
    world = World(kafka, tmp_path_factory.mktemp("lived"))
    world.live()
    return world


@pytest.fixture
def world(kafka: str, tmp_path: Path) -> World:
    return World(kafka, tmp_path)


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
        ("record", "queued"),
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
        "from tests.store.world import store_in; "
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
    lost = transition("told-by-nobody", time=editions.now_ms(), result=b"kept")
    rows, batch = rows_of(lost, lived.shop.topology), Batch(positions={("gone", 0): 1})
    batch.add(rows)
    Writer(engine, edition, "test").write(batch)
    rebuild(engine, lived.shop, lived.kafka, "rebuild")
    reader = StoreReader(engine, lived.shop.name)
    found = reader.life("told-by-nobody")
    totals = sum(total.jobs for total in reader.totals())
    engine.dispose()
    assert found is not None
    assert (found.events, found.result) == ((rows.event,), rows.result)
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
