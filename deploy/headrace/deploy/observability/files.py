"""The rendered files: what is committed under `deploy/`, and what Grafana and Prometheus read."""

from collections.abc import Mapping
from pathlib import Path

from headrace.deploy.observability.alert import render_rules
from headrace.deploy.observability.alerts import GROUPS
from headrace.deploy.observability.boards import BOARDS


def rendered() -> Mapping[Path, str]:
    """Give every file by its path below the folder that holds them, `deploy` as a rule.

    Raises:
        YamlMissingError: PyYAML is not installed.
    """
    boards = {Path("dashboards", f"{board.name}.json"): board.render() for board in BOARDS}
    return boards | {Path("alerts", "headrace.rules.yml"): render_rules(GROUPS)}
