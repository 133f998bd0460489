"""What the paths of a process's port answer."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from headrace.pipeline.telemetry.health import CheckKind, Health


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    status: HTTPStatus
    content_type: str
    body: bytes


Route = Callable[[str], Answer]
"""From the request's `Accept` header to the answer."""


def endpoints(health: Health, registry: CollectorRegistry) -> dict[str, Route]:
    """Give every path with what answers it."""
    return {
        "/health/live": lambda _: _health(health, CheckKind.LIVE),
        "/health/ready": lambda _: _health(health, CheckKind.READY),
        "/metrics": lambda accept: _metrics(registry, accept),
    }


def json_answer(status: HTTPStatus, content: dict[str, Any]) -> Answer:
    """Make an answer with a JSON object as its body."""
    return Answer(status, "application/json", json.dumps(content).encode() + b"\n")


def _health(health: Health, kind: CheckKind) -> Answer:
    report = health.report(kind)
    status = HTTPStatus.OK if report.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return json_answer(status, report.as_json())


def _metrics(registry: CollectorRegistry, accept: str) -> Answer:
    encode, content_type = choose_encoder(accept)
    return Answer(HTTPStatus.OK, content_type, encode(registry))
