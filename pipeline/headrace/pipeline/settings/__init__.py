"""Every setting: read from `HEADRACE_*` variables, checked in one place before anything connects.

One class per concern. Reading never happens at import: call `load(SomeSettings)`.
"""

from typing import Final

from headrace.pipeline.settings.base import PREFIX, CommaList, Settings, load
from headrace.pipeline.settings.kafka import (
    KafkaSettings,
    ProducerSettings,
    Protocol,
    TopicSettings,
)
from headrace.pipeline.settings.operating import HttpSettings, LogFormat, LogSettings
from headrace.pipeline.settings.worker import SchedulerSettings, WorkerMode, WorkerSettings

ALL_SETTINGS: Final[tuple[type[Settings], ...]] = (
    KafkaSettings,
    TopicSettings,
    ProducerSettings,
    WorkerSettings,
    SchedulerSettings,
    HttpSettings,
    LogSettings,
)

__all__ = [
    "ALL_SETTINGS",
    "PREFIX",
    "CommaList",
    "HttpSettings",
    "KafkaSettings",
    "LogFormat",
    "LogSettings",
    "ProducerSettings",
    "Protocol",
    "SchedulerSettings",
    "Settings",
    "TopicSettings",
    "WorkerMode",
    "WorkerSettings",
    "load",
]
