"""Opening the store's database: SQLite (write-ahead log) or PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
)

from headrace.pipeline.settings import StoreSettings
from headrace.processors.errors import StoreError, StoreUnavailableError
from headrace.processors.store.migrating import MIGRATIONS
from headrace.processors.store.tables import EDITIONS, STORE, VERSION, shared

_BUSY_MS: Final = 5_000
"""Milliseconds that a writer waits for SQLite's one lock."""
_CONNECT_SECONDS: Final = 5
_KINDS: Final = ("sqlite", "postgresql")
_PASSING: Final = ("database is locked", "database table is locked", "disk i/o error", "is full")
_WRONG_URL: Final = (
    "HEADRACE_STORE_URL is no URL of a store: write sqlite:///PATH or "
    "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
)


def open_store(settings: StoreSettings) -> Engine:
    """Connect, make what is missing, and bring an older database to this version.

    Raises:
        StoreError: The URL is wrong, the driver is missing, the database may not be written, or a
            newer Headrace made it.
        StoreUnavailableError: It does not answer, or is locked or full just now.
    """
    engine = connect(settings)
    try:
        with told(engine), engine.begin() as connection:
            _prepare(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_to_read(settings: StoreSettings) -> Engine:
    """Connect to read alone: nothing is made or changed, and no writer is waited for.

    Raises:
        StoreError: The URL is wrong, the driver is missing, or another version of Headrace made
            the store.
        StoreUnavailableError: It does not answer, or nobody has made it yet.
    """
    engine = reading(connect(settings))
    try:
        with told(engine), engine.connect() as connection:
            _check(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def connect(settings: StoreSettings) -> Engine:
    """Make the engine; nothing is read or written.

    Raises:
        StoreError: The URL is wrong, or its driver is not installed.
    """
    url = _url(settings)
    if url.get_backend_name() == "postgresql":
        return _postgres(url)
    _make_folder(url)
    engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def told(engine: Engine) -> Iterator[None]:
    """Turn errors of the database into ours, with what to do.

    Raises:
        StoreError: It will not pass by itself.
        StoreUnavailableError: It may pass by itself.
    """
    try:
        yield
    except DBAPIError as error:
        raise _explained(engine, error) from error


def exists(settings: StoreSettings) -> bool:
    """Whether there may be a store: a file of SQLite, or any other database."""
    url = _url(settings)
    if url.get_backend_name() != "sqlite":
        return True
    return bool(url.database) and Path(url.database or "").is_file()


def _url(settings: StoreSettings) -> URL:
    try:
        url = make_url(settings.store_url.get_secret_value())
        kind = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        raise StoreError(_WRONG_URL) from None
    if kind not in _KINDS:
        raise StoreError(_WRONG_URL)
    return url.set(drivername="postgresql+psycopg") if kind == "postgresql" else url


def _postgres(url: URL) -> Engine:
    try:
        return create_engine(
            url,
            connect_args={"connect_timeout": _CONNECT_SECONDS},
            pool_pre_ping=True,
            paramstyle="format",  # by position, as SQLite: see `writing`
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{shown(url)}: PostgreSQL needs the package {error.name}: install headrace[postgres]"
        ) from error


def _make_folder(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise StoreError(
            "HEADRACE_STORE_URL names no file: several processes read the store, so write "
            "sqlite:///PATH"
        )
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store's folder {folder} cannot be made: {error.strerror}") from error


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say: see below
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once, unless it is only read: a lock taken later cannot wait."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def reading(engine: Engine) -> Engine:
    """The same database for readers: they neither wait for writers nor stop them."""
    return engine.execution_options(reads=True)


def shown(url: URL) -> str:
    """A URL without its password."""
    return url.render_as_string(hide_password=True)


def _prepare(connection: Connection) -> None:
    if not inspect(connection).has_table(STORE.name):
        _make(connection)
    if _version(connection) < VERSION:
        _migrate(connection)


def _migrate(connection: Connection) -> None:
    version = _version(connection, alone=True)
    for step in range(version, VERSION):
        MIGRATIONS[step](connection)
    connection.execute(update(STORE).where(STORE.c.name == "version").values(value=VERSION))


def _check(connection: Connection) -> None:
    where = shown(connection.engine.url)
    if not inspect(connection).has_table(STORE.name):
        raise StoreUnavailableError(
            f"the store {where} has not been made yet: start `headrace processors projector`"
        )
    if _version(connection) < VERSION:
        raise StoreUnavailableError(
            f"the store {where} was made by an older Headrace: `headrace processors projector` of "
            "this one brings it up to date when it starts"
        )


def _version(connection: Connection, *, alone: bool = False) -> int:
    """Read the version; with `alone` no other process reads it so until the transaction ends."""
    row = select(STORE.c.value).where(STORE.c.name == "version")
    version = connection.scalar(row.with_for_update() if alone else row)
    if version is not None and version > VERSION:
        raise StoreError(
            f"the store {shown(connection.engine.url)} has version {version}, made by a newer "
            f"Headrace; this one knows version {VERSION}: use the newer one, or set "
            "HEADRACE_STORE_URL to another place, where a new store is built from Kafka"
        )
    return VERSION if version is None else int(version)


def _make(connection: Connection) -> None:
    shared().create_all(connection, tables=[STORE, EDITIONS])
    try:
        with connection.begin_nested():
            connection.execute(insert(STORE).values(name="version", value=VERSION))
    except IntegrityError:
        return  # another process has just made it


def _explained(engine: Engine, error: DBAPIError) -> StoreError:
    cause = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
    where = shown(engine.url)
    if error.connection_invalidated or _passes(engine, error, cause.lower()):
        return StoreUnavailableError(
            f"the store {where} cannot be used just now: {cause}; it is tried again, and Kafka "
            "keeps what is not in it yet"
        )
    if "readonly" in cause.lower() or "read-only" in cause.lower():
        return StoreError(
            f"the store {where} may only be read: {cause}; make the file and its folder writable "
            "for this user, or set HEADRACE_STORE_URL to another place"
        )
    return StoreError(
        f"the store {where} refused: {cause}; mend the database, or set HEADRACE_STORE_URL to "
        "another place: a new store is built from Kafka"
    )


def _passes(engine: Engine, error: DBAPIError, cause: str) -> bool:
    if engine.dialect.name == "sqlite":
        return any(each in cause for each in _PASSING)
    # No connection, no space, shutting down; or another process was quicker with the same.
    return isinstance(error, OperationalError | IntegrityError)
