"""The names of Kafka's admin API, in one place: the client has them, but does not export them."""

# mypy: disable-error-code="attr-defined"
# pyright: reportPrivateImportUsage=false
from typing import Any, Final

from confluent_kafka import admin
from confluent_kafka.cimpl import NewPartitions, NewTopic

AlterConfigOpType = admin.AlterConfigOpType
ConfigEntry = admin.ConfigEntry
ConfigResource = admin.ConfigResource
ResourceType = admin.ResourceType

_SPECS: Any = admin.OffsetSpec  # it has no types
EARLIEST: Final[Any] = _SPECS.earliest()
LATEST: Final[Any] = _SPECS.latest()

__all__ = [
    "EARLIEST",
    "LATEST",
    "AlterConfigOpType",
    "ConfigEntry",
    "ConfigResource",
    "NewPartitions",
    "NewTopic",
    "ResourceType",
]
