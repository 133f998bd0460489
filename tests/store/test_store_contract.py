"""What holds for every store, SQLite and PostgreSQL alike.

What can go wrong: a batch that is half written; a second writer that overwrites the first; rows that
depend on how the stream was cut; a rebuild that shows an empty store; jobs that retention forgets.
"""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, update

from headrace.pipeline.settings import StoreSettings
from headrace.processors.errors import NotOwnerError, StoreError, StoreUnavailableError
from headrace.processors.store import editions
from headrace.processors.store import engine as store_engine
from headrace.processors.store.engine import open_store, open_to_read
from headrace.processors.store.keeping import Retention
from headrace.processors.store.migrating import MIGRATIONS
from headrace.processors.store.reading import StoreFilter, StoreReader
from headrace.processors.store.rows import rows_of
from headrace.processors.store.tables import EDITIONS, STORE, VERSION
from headrace.processors.store.writing import Batch, Gap, Writer
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition
from tests.store.evidence import LANE, SHOP, transition, transitions

DAY = 86_400_000


@pytest.fixture
def engine(settings: StoreSettings) -> Iterator[Engine]:
    """An open store."""
    opened = open_store(settings)
    yield opened
    opened.dispose()


def new_writer(engine: Engine, pipeline: str = "shop", owner: str = "me") -> Writer:
    """Own the edition that serves."""
    edition = editions.ensure(engine, pipeline)
    assert editions.claim(engine, edition, owner)
    return Writer(engine, edition, owner)


def batch_of(found: list[Transition], at: int = 1) -> Batch:
    """What the stream makes of transitions."""
    batch = Batch(positions={("shop.events", 0): at})
    for each in found:
        batch.add(rows_of(each, SHOP.topology))
    return batch


def contents(engine: Engine, pipeline: str) -> list[object]:
    """All jobs with all their events."""
    reader = StoreReader(engine, pipeline)
    jobs = reader.page(limit=1_000).jobs
    return sorted((reader.life(job.job_id) for job in jobs), key=repr)


@given(found=transitions(), seed=st.integers(0, 2**32))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_repetition_and_split_give_the_same_rows(
    engine: Engine, found: list[Transition], seed: int
) -> None:
    chance = random.Random(seed)
    pipelines = []
    for run in range(2):
        pipeline = f"p{chance.getrandbits(64):x}-{run}"
        pipelines.append(pipeline)
        writer = new_writer(engine, pipeline)
        rest = [*found, *chance.sample(found, len(found) // 2)] if run else list(found)
        if run:
            chance.shuffle(rest)
        while rest:
            size = chance.randint(1, len(rest)) if run else len(rest)
            writer.write(batch_of(rest[:size]))
            rest = rest[size:]
    assert contents(engine, pipelines[0]) == contents(engine, pipelines[1])


def test_positions_come_with_the_rows(engine: Engine) -> None:
    writer = new_writer(engine)
    assert writer.positions() == {}
    writer.write(batch_of([transition()], at=7))
    assert writer.positions() == {("shop.events", 0): 7}
    writer.write(batch_of([transition(state="dead", step=2)], at=9))
    assert writer.positions() == {("shop.events", 0): 9}


def test_a_batch_of_which_a_part_is_refused_leaves_nothing_behind(engine: Engine) -> None:
    writer = new_writer(engine)
    batch = batch_of([transition()], at=7)
    batch.events[0] = batch.events[0]._replace(state=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        writer.write(batch)
    assert writer.positions() == {}
    assert StoreReader(engine, "shop").life("a") is None


def test_a_second_writer_waits_until_the_first_is_not_heard_of(engine: Engine) -> None:
    first = new_writer(engine, owner="first")
    assert not editions.claim(engine, first.edition, "second")
    with engine.begin() as connection:
        connection.execute(update(EDITIONS).values(beat=EDITIONS.c.beat - editions.LEASE - 1_000))
    assert editions.claim(engine, first.edition, "second")
    with pytest.raises(NotOwnerError):
        first.write(batch_of([transition()]))
    assert StoreReader(engine, "shop").life("a") is None


def test_an_edition_that_was_let_go_can_be_had_at_once(engine: Engine) -> None:
    first = new_writer(engine, owner="first")
    editions.release(engine, first.edition, "first")
    assert editions.claim(engine, first.edition, "second")


def test_a_new_edition_serves_all_at_once_and_the_old_ones_writer_is_told(engine: Engine) -> None:
    old = new_writer(engine, owner="old")
    old.write(batch_of([transition("a"), transition("b")]))
    with engine.begin() as connection:
        added = editions.add(connection, "shop", editions.BUILDING)
    assert editions.claim(engine, added, "new")
    new = Writer(engine, added, "new")
    new.write(batch_of([transition("a")]))
    assert StoreReader(engine, "shop").life("b") is not None
    with engine.begin() as connection:
        editions.swap(connection, added)
    assert StoreReader(engine, "shop").life("b") is None
    with pytest.raises(NotOwnerError):
        old.beat()
    editions.drop(engine, old.edition)
    assert [each.number for each in editions.look(engine, "shop")] == [added.number]


def test_two_pipelines_in_one_database_never_see_each_other(engine: Engine) -> None:
    new_writer(engine, "shop").write(batch_of([transition("a")]))
    new_writer(engine, "bank").write(batch_of([transition("b")]))
    assert StoreReader(engine, "shop").life("b") is None
    assert [job.job_id for job in StoreReader(engine, "bank").page().jobs] == ["b"]


def test_jobs_are_listed_in_pages_the_latest_first(engine: Engine) -> None:
    writer = new_writer(engine)
    writer.write(batch_of([transition(f"{n}", time=n // 2) for n in range(7)]))
    reader = StoreReader(engine, "shop")
    first = reader.page(limit=4)
    rest = reader.page(limit=4, after=first.after)
    assert [job.job_id for job in (*first.jobs, *rest.jobs)] == list("6543210")
    assert rest.after is None


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (StoreFilter(), "cba"),
        (StoreFilter(state=JobState.DEAD), "b"),
        (StoreFilter(job_type="bill"), "c"),
        (StoreFilter(queue="default", priority=LANE.split(".")[2]), "cba"),
        (StoreFilter(queue="other"), ""),
        (StoreFilter(tenant="acme"), "a"),
        (StoreFilter(key="k1"), "c"),
        (StoreFilter(text="TIMED"), "b"),
        (StoreFilter(text="100%_"), ""),
        (StoreFilter(text="% of"), "b"),
        (StoreFilter(since=2), "cb"),
        (StoreFilter(since=2, until=3), "b"),
    ],
)
def test_a_list_is_narrowed_down(engine: Engine, wanted: StoreFilter, ids: str) -> None:
    found = [
        transition("a", time=1, tenant="acme"),
        transition("b", "dead", time=2, error_type="Timeout", error_message="timed out: 5 % of it"),
        transition("c", time=3, job_type="bill", key="k1"),
    ]
    new_writer(engine).write(batch_of(found))
    page = StoreReader(engine, "shop").page(wanted)
    assert "".join(job.job_id for job in page.jobs) == ids


def test_what_is_too_old_leaves_and_stays_counted(engine: Engine) -> None:
    writer = new_writer(engine)
    now = 100 * DAY
    found = [
        transition("old", time=now - 8 * DAY),
        transition("new", time=now - 6 * DAY),
        transition("dead", "dead", time=now - 8 * DAY),
        transition("gone", "dead", time=now - 31 * DAY),
        transition("running", "running", time=now - 50 * DAY),
    ]
    writer.write(batch_of(found))
    reader = StoreReader(engine, "shop")
    before = reader.totals()
    kept = Retention(engine, writer.edition, "me", done=timedelta(days=7), dead=timedelta(days=30))
    assert kept.step(now) == 2
    assert {job.job_id for job in reader.page().jobs} == {"new", "dead", "running"}
    assert reader.life("old") is None
    assert reader.totals() == before
    assert sum(total.jobs for total in before) == len(found)
    assert kept.step(now) == 0
    assert reader.totals() == before


def test_gaps_are_counted_by_their_reason(engine: Engine) -> None:
    writer = new_writer(engine)
    for offset in (3, 8):
        where = f"shop.events/0/{offset}"
        batch = batch_of([transition()])
        batch.gaps = [Gap("shop.events", "another schema", 1, where, where)]
        writer.write(batch)
    (gap,) = StoreReader(engine, "shop").gaps()
    assert gap == Gap("shop.events", "another schema", 2, "shop.events/0/3", "shop.events/0/8")


def test_a_store_that_knows_nothing_says_what_to_start(engine: Engine) -> None:
    with pytest.raises(StoreUnavailableError, match="headrace processors projector"):
        StoreReader(engine, "shop").page()


def test_a_store_of_a_newer_version_is_refused_with_the_remedy(
    engine: Engine, settings: StoreSettings
) -> None:
    with engine.begin() as connection:
        connection.execute(update(STORE).values(value=VERSION + 1))
    for opening in (open_store, open_to_read):
        with pytest.raises(StoreError, match=r"made by a newer Headrace.*HEADRACE_STORE_URL"):
            opening(settings)


def make_older(engine: Engine) -> None:
    """Take back what version 2 brought."""
    tables = editions.ensure(engine, "shop").tables
    with engine.begin() as connection:
        tables.results.drop(connection)
        for column in ("progress", "progress_text"):
            connection.exec_driver_sql(f"ALTER TABLE {tables.events.name} DROP COLUMN {column}")
        connection.execute(update(STORE).values(value=1))


def test_a_store_of_an_older_version_is_migrated_by_who_writes_and_refused_to_who_reads(
    engine: Engine, settings: StoreSettings
) -> None:
    new_writer(engine).write(batch_of([transition()]))
    make_older(engine)
    with pytest.raises(StoreUnavailableError, match="made by an older Headrace"):
        open_to_read(settings)
    again = open_store(settings)
    told = transition("b", result=b"r")
    new_writer(again).write(batch_of([transition("b", "running", progress=0.5), told]))
    reader = StoreReader(again, "shop")
    assert reader.life("a") is not None
    life = reader.life("b")
    assert life is not None
    assert life.result is not None
    assert life.result.result == b"r"
    assert [event.progress for event in life.events] == [0.5, None]
    again.dispose()
    open_to_read(settings).dispose()


def test_every_older_version_can_be_migrated() -> None:
    assert sorted(MIGRATIONS) == list(range(1, VERSION))


def test_a_store_that_may_only_be_read_is_an_error_that_says_so(
    engine: Engine, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_writer(engine).write(batch_of([transition()]))

    def read_only(connection: Any, record: object) -> None:
        set_up(connection, record)
        connection.execute("PRAGMA query_only=ON")

    set_up = store_engine._set_up_sqlite
    monkeypatch.setattr(store_engine, "_set_up_sqlite", read_only)
    url = settings.store_url.get_secret_value()
    if engine.dialect.name == "postgresql":
        url += "%20-cdefault_transaction_read_only%3Don"
    there = StoreSettings.model_validate({"store_url": url})
    with pytest.raises(StoreError, match=r"may only be read.*HEADRACE_STORE_URL") as caught:
        claim_at(there)
    assert not isinstance(caught.value, StoreUnavailableError)
    reader = open_to_read(there)
    assert StoreReader(reader, "shop").life("a") is not None
    reader.dispose()


def claim_at(settings: StoreSettings) -> None:
    opened = open_store(settings)
    try:
        editions.claim(opened, editions.ensure(opened, "shop"), "me")
    finally:
        opened.dispose()


def test_a_store_that_is_locked_may_be_written_later(
    engine: Engine, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL lets who writes wait")
    monkeypatch.setattr(store_engine, "_BUSY_MS", 50)
    other = open_store(settings)
    writer = new_writer(other)
    with engine.begin(), pytest.raises(StoreUnavailableError, match="database is locked"):
        writer.write(batch_of([transition()]))
    writer.write(batch_of([transition()]))
    assert StoreReader(other, "shop").life("a") is not None
    other.dispose()


def test_text_may_hold_any_character(engine: Engine) -> None:
    odd = "\N{PILE OF POO} \x1b[31m' \\ % \0"
    told = transition("a\0b", "dead", key=odd, tenant=odd, error_type=odd, error_message=odd)
    new_writer(engine).write(batch_of([told]))
    (job,) = StoreReader(engine, "shop").page(StoreFilter(text="' \\ %")).jobs
    assert (job.error_message or "")[:-1] == odd[:-1]


def test_reading_makes_nothing(settings: StoreSettings) -> None:
    with pytest.raises(StoreUnavailableError, match="headrace processors projector"):
        open_to_read(settings)
    opened = open_store(settings)
    reader = open_to_read(settings)
    with pytest.raises(StoreUnavailableError, match="knows nothing of pipeline"):
        StoreReader(reader, "shop").page()
    reader.dispose()
    opened.dispose()


def test_opening_a_store_again_changes_nothing(engine: Engine, settings: StoreSettings) -> None:
    new_writer(engine).write(batch_of([transition()]))
    again = open_store(settings)
    assert StoreReader(again, "shop").life("a") is not None
    again.dispose()


def test_only_one_edition_can_serve(engine: Engine) -> None:
    editions.ensure(engine, "shop")
    values = {"pipeline": "shop", "state": editions.SERVING, "made": 0, "owner": "", "beat": 0}
    with pytest.raises(Exception, match=r"(?i)unique"), engine.begin() as connection:
        connection.execute(insert(EDITIONS).values(values))
    assert LANE.startswith("shop.")
