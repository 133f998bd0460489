"""An alert as plain values, and the rules that Prometheus reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from headrace.deploy.yaml_text import to_yaml
from headrace.pipeline.durations import format_duration

RUNBOOKS: Final = "docs/runbooks.md"
_HEAD: Final = (
    "# Rendered by `headrace deploy boards`: change deploy/headrace/deploy/observability and render\n"
    "# again. What each alert means and what to do about it: docs/runbooks.md\n\n"
)


class Severity(StrEnum):
    """Who should hear of it."""

    PAGE = "page"
    """Somebody, now: jobs do not run, or are lost."""
    TICKET = "ticket"
    """Somebody, today: it gets worse, or safety is gone."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        name: As in the notification; its runbook's heading is the same.
        expression: True, as long as it gives anything.
        lasting: For how long that must be so.
        severity: Who should hear of it.
        summary: What is wrong, in one line; `{{ $labels.… }}` is filled in.
    """

    name: str
    expression: str
    lasting: timedelta
    severity: Severity
    summary: str

    @property
    def anchor(self) -> str:
        """Its section of the runbooks."""
        return f"{RUNBOOKS}#{self.name.lower()}"

    def rule(self) -> dict[str, Any]:
        """Give it as Prometheus reads it."""
        rule: dict[str, Any] = {"alert": self.name, "expr": self.expression}
        if self.lasting:
            rule["for"] = format_duration(self.lasting)
        return rule | {
            "labels": {"severity": self.severity.value},
            "annotations": {"summary": self.summary, "runbook_url": self.anchor},
        }


def rule_groups(groups: Iterable[tuple[str, Iterable[Alert]]]) -> list[dict[str, Any]]:
    """Give groups of rules as Prometheus, and the objects of its operator, have them."""
    return [
        {"name": f"headrace-{name}", "rules": [alert.rule() for alert in alerts]}
        for name, alerts in groups
    ]


def render_rules(groups: Iterable[tuple[str, Iterable[Alert]]]) -> str:
    """Write a file of rules; the same text for the same alerts.

    Raises:
        YamlMissingError: PyYAML is not installed.
    """
    return _HEAD + to_yaml({"groups": rule_groups(groups)})
