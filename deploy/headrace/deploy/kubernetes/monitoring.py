"""For Prometheus' operator: which pods to ask, and when somebody should hear of what they say."""

from typing import Final

from headrace.deploy.kubernetes.pods import PORT_NAME
from headrace.deploy.kubernetes.setting import Manifest, Setting, manifest
from headrace.deploy.observability.alert import rule_groups
from headrace.deploy.observability.alerts import GROUPS

_API: Final = "monitoring.coreos.com/v1"


def monitoring(setting: Setting) -> list[Manifest]:
    """Make what the operator reads."""
    return [_monitor(setting), _rules(setting)]


def _monitor(setting: Setting) -> Manifest:
    """Pods, not a Service: each tells of itself alone, and nobody else connects to them."""
    return manifest(
        _API,
        "PodMonitor",
        setting.pipeline.name,
        setting.everything,
        spec={
            "selector": {"matchLabels": setting.everything},
            "podMetricsEndpoints": [{"port": PORT_NAME, "path": "/metrics", "interval": "15s"}],
            "podTargetLabels": ["headrace/queue", "headrace/priority"],
        },
    )


def _rules(setting: Setting) -> Manifest:
    """The alerts that every pipeline has, as in `deploy/alerts`."""
    return manifest(
        _API,
        "PrometheusRule",
        setting.pipeline.name,
        setting.everything,
        spec={"groups": rule_groups(GROUPS)},
    )
