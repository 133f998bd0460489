"""Stores to test on: one contract, two databases."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.pipeline.settings import StoreSettings
from tests.support import postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of the session's own."""
    programs = postgres.binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    with postgres.running(programs) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """A store that nobody has used: a file, or a schema of its own."""
    if request.param == "sqlite":
        return StoreSettings.model_validate({"store_url": f"sqlite:///{tmp_path}/store.db"})
    url: str = request.getfixturevalue("postgres_url")
    return StoreSettings.model_validate({"store_url": fresh_schema(url)})


def fresh_schema(url: str) -> str:
    """Make a schema, and give the URL that uses it alone."""
    from sqlalchemy import create_engine

    name = f"s{uuid.uuid4().hex[:12]}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    engine.dispose()
    return f"{url}?options=-csearch_path%3D{name}"
