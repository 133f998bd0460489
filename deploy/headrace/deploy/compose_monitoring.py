"""Prometheus, Grafana and Jaeger of a Compose file, in the profile `monitoring`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from headrace.deploy.compose_parts import (
    HOST_NETWORK,
    METRICS_NETWORK,
    PROCESS_PORT,
    hardened,
    healthcheck,
)
from headrace.deploy.yaml_text import to_yaml

MONITORING: Final = "monitoring"
TRACES_ADDRESS: Final = "http://jaeger:4318"
_PROMETHEUS: Final = "prom/prometheus:v3.5.0"
_GRAFANA: Final = "grafana/grafana:12.1.0"
_JAEGER: Final = "jaegertracing/jaeger:2.9.0"
_RULES: Final = "/etc/prometheus/rules"
_BOARDS: Final = "/etc/grafana/headrace"
"""What `headrace deploy boards` renders, beside the Compose file in `deploy`."""
_PROVIDER: Final = {
    "apiVersion": 1,
    "providers": [{"name": "Headrace", "type": "file", "options": {"path": _BOARDS}}],
}
_SOURCE: Final = {
    "apiVersion": 1,
    "datasources": [
        {
            "name": "Prometheus",
            "type": "prometheus",
            "access": "proxy",
            "url": "http://prometheus:9090",
            "isDefault": True,
        },
        {"name": "Jaeger", "type": "jaeger", "access": "proxy", "url": "http://jaeger:16686"},
    ],
}


def monitoring_services() -> dict[str, dict[str, Any]]:
    """Make the services. Their ports are on the host's loopback alone, and so nobody logs in."""
    return {
        "prometheus": {
            **_seen(_PROMETHEUS, 9090, "PROMETHEUS_PORT", "/-/ready"),
            "configs": [{"source": "prometheus", "target": "/etc/prometheus/prometheus.yml"}],
            "volumes": ["prometheus-data:/prometheus", f"./deploy/alerts:{_RULES}:ro"],
        },
        "grafana": {
            **_seen(_GRAFANA, 3000, "GRAFANA_PORT", "/api/health"),
            "environment": {
                "GF_AUTH_ANONYMOUS_ENABLED": "true",
                "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
                "GF_ANALYTICS_REPORTING_ENABLED": "false",
            },
            "configs": [
                {
                    "source": "grafana-sources",
                    "target": "/etc/grafana/provisioning/datasources/headrace.yml",
                },
                {
                    "source": "grafana-boards",
                    "target": "/etc/grafana/provisioning/dashboards/headrace.yml",
                },
            ],
            "volumes": ["grafana-data:/var/lib/grafana", f"./deploy/dashboards:{_BOARDS}:ro"],
        },
        # Its image has no shell and no client to ask it with
        "jaeger": _published(_JAEGER, 16686, "JAEGER_PORT"),
    }


def monitoring_configs(scraped: Sequence[str]) -> dict[str, dict[str, str]]:
    """Give the files that the services read.

    Args:
        scraped: The services whose processes serve metrics; those that do not run have no address.
    """
    found = {"names": list(scraped), "type": "A", "port": int(PROCESS_PORT)}
    prometheus = {
        "global": {"scrape_interval": "15s"},
        "rule_files": [f"{_RULES}/*.yml"],
        "scrape_configs": [{"job_name": "headrace", "dns_sd_configs": [found]}],
    }
    return {
        "prometheus": {"content": to_yaml(prometheus, compact=True)},
        "grafana-sources": {"content": to_yaml(_SOURCE, compact=True)},
        "grafana-boards": {"content": to_yaml(_PROVIDER, compact=True)},
    }


def monitoring_volumes() -> dict[str, dict[str, Any]]:
    """Name the volumes."""
    return {"prometheus-data": {}, "grafana-data": {}}


def _seen(image: str, port: int, variable: str, path: str) -> dict[str, Any]:
    """A service that says on a path of its port whether it is ready."""
    ask = f"wget -q --spider http://127.0.0.1:{port}{path}"
    return {
        **_published(image, port, variable),
        "healthcheck": healthcheck(
            ["CMD-SHELL", ask], interval=timedelta(seconds=15), start_period=timedelta(minutes=1)
        ),
    }


def _published(image: str, port: int, variable: str) -> dict[str, Any]:
    return {
        "profiles": [MONITORING],
        "image": image,
        "ports": [f"127.0.0.1:${{{variable}:-{port}}}:{port}"],
        "networks": [METRICS_NETWORK, HOST_NETWORK],
        "restart": "unless-stopped",
        **hardened(read_only=True),
    }
