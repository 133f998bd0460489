"""Every setting: read from `HEADRACE_*` variables, checked in one place before anything connects.

One class per concern. Reading never happens at import: call `load(SomeSettings)`.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Final

from headrace.pipeline.settings.base import (
    OTHER_VARIABLES,
    PREFIX,
    CommaList,
    Settings,
    load,
    variable,
)
from headrace.pipeline.settings.claims import ClaimSettings
from headrace.pipeline.settings.exporter import ExporterSettings
from headrace.pipeline.settings.kafka import (
    KafkaSettings,
    ProducerSettings,
    Protocol,
    TopicSettings,
)
from headrace.pipeline.settings.operating import (
    HeartbeatSettings,
    HttpSettings,
    LogFormat,
    LogSettings,
)
from headrace.pipeline.settings.scaler import ScalerSettings
from headrace.pipeline.settings.statistics import StatisticsSettings
from headrace.pipeline.settings.store import StoreSettings
from headrace.pipeline.settings.traces import TraceSettings
from headrace.pipeline.settings.worker import (
    EventLoop,
    SchedulerSettings,
    WorkerMode,
    WorkerSettings,
)

ALL_SETTINGS: Final[tuple[type[Settings], ...]] = (
    KafkaSettings,
    TopicSettings,
    ProducerSettings,
    WorkerSettings,
    SchedulerSettings,
    StoreSettings,
    StatisticsSettings,
    ExporterSettings,
    ScalerSettings,
    ClaimSettings,
    HeartbeatSettings,
    HttpSettings,
    LogSettings,
    TraceSettings,
)

_OF_A_KUBERNETES_SERVICE: Final = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP|SCTP).*)?$")


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Say which `HEADRACE_*` variables mean nothing, each with the name that may be meant.

    For a warning at start: a misspelt variable would else be passed over in silence. Those that
    Kubernetes makes for a Service named headrace-… are left out.
    """
    known = {variable(field) for kind in ALL_SETTINGS for field in kind.model_fields}
    known |= OTHER_VARIABLES.keys()
    return [
        f"{name} is no setting{_meant(name, known)} (see docs/reference/settings.md)"
        for name in sorted(environment)
        if name.startswith(PREFIX)
        and name not in known
        and not _OF_A_KUBERNETES_SERVICE.search(name)
    ]


def _meant(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else ""


__all__ = [
    "ALL_SETTINGS",
    "PREFIX",
    "ClaimSettings",
    "CommaList",
    "EventLoop",
    "ExporterSettings",
    "HeartbeatSettings",
    "HttpSettings",
    "KafkaSettings",
    "LogFormat",
    "LogSettings",
    "ProducerSettings",
    "Protocol",
    "ScalerSettings",
    "SchedulerSettings",
    "Settings",
    "StatisticsSettings",
    "StoreSettings",
    "TopicSettings",
    "TraceSettings",
    "WorkerMode",
    "WorkerSettings",
    "load",
    "unknown_variables",
]
