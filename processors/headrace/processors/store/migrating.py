"""Bringing a store of an older version to this one, in one transaction with the version's change.

What a version added is empty for jobs that were projected before; `headrace processors rebuild` fills
it, as far back as Kafka keeps.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, inspect, select

from headrace.processors.store.tables import EDITIONS, tables_of

Migration = Callable[[Connection], None]


def _results_and_progress(connection: Connection) -> None:
    """Version 2 keeps what handlers returned, and how far jobs told that they were."""
    for number in connection.scalars(select(EDITIONS.c.number)).all():
        tables = tables_of(number)
        if not inspect(connection).has_table(tables.events.name):
            continue  # of an edition that is being dropped
        tables.results.create(connection)
        for column in ("progress FLOAT", "progress_text TEXT"):
            connection.exec_driver_sql(f"ALTER TABLE {tables.events.name} ADD COLUMN {column}")


MIGRATIONS: Final[dict[int, Migration]] = {1: _results_and_progress}
"""By the version that they start from: each brings the database one version on."""
