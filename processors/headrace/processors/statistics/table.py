"""The table of the statistics: bytes under keys that say which partition they belong to."""

from typing import Any, Final

import faust

from headrace.processors.statistics.book import partition_of_key

NAME: Final = "rows"


class OwnPartitionTable(faust.Table[bytes, bytes]):
    """A table that can be changed anywhere, since its keys name their partition.

    Faust's own takes the partition of the event at hand, and has none in a timer.
    """

    def partition_for_key(self, key: Any) -> int:
        """Read the partition at the head of a key."""
        return partition_of_key(key)


def add_table(app: Any, partitions: int) -> OwnPartitionTable:
    """Make the table, with as many partitions as the events topic has."""
    table = OwnPartitionTable(
        app,
        name=NAME,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
    )
    app.tables.add(table)
    return table
