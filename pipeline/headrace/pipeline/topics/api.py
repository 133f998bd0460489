"""The names of Kafka's admin API, in one place: the client has them, but does not export them."""

# mypy: disable-error-code="attr-defined"
# pyright: reportPrivateImportUsage=false
from typing import Any, Final

from confluent_kafka import admin

AlterConfigOpType = admin.AlterConfigOpType
ConfigEntry = admin.ConfigEntry
ConfigResource = admin.ConfigResource
NewPartitions = admin.NewPartitions
NewTopic = admin.NewTopic
ResourceType = admin.ResourceType

_SPECS: Any = admin.OffsetSpec  # it has no types
EARLIEST: Final[admin.OffsetSpec] = _SPECS.earliest()
LATEST: Final[admin.OffsetSpec] = _SPECS.latest()
