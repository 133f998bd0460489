"""What several services of a Compose file have in common."""

from datetime import timedelta
from typing import Any, Final

from headrace.pipeline.durations import format_duration

KAFKA_NETWORK: Final = "kafka"
"""Has no way out: Kafka, and who talks to it."""
OUTSIDE_NETWORK: Final = "outside"
"""Where handlers reach the world."""
METRICS_NETWORK: Final = "metrics"
"""Has no way out: who tells of itself, and who asks."""
HOST_NETWORK: Final = "host-access"
"""Docker publishes no port of a container whose networks are all internal: Kafka's way to the host."""
KAFKA_CLIENT_ADDRESS: Final = "kafka:19092"
PROCESS_PORT: Final = "9464"
"""Of each of our processes: health and metrics."""

_LOGGING: Final = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}


def hardened(*, read_only: bool) -> dict[str, Any]:
    """Take from a container what it does not need.

    Args:
        read_only: Whether its root file system is; `/tmp` then is memory.
    """
    scratch = {"read_only": True, "tmpfs": ["/tmp"]} if read_only else {}  # noqa: S108 - its own
    return {
        **scratch,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,
        "logging": _LOGGING,
    }


def healthcheck(test: list[str], *, interval: timedelta, start_period: timedelta) -> dict[str, Any]:
    """Ask every 2 s while it starts (Docker Engine 25 and later), then at the interval."""
    return {
        "test": test,
        "interval": format_duration(interval),
        "timeout": "10s",
        "retries": 3,
        "start_period": format_duration(start_period),
        "start_interval": "2s",
    }
