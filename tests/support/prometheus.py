"""A real Prometheus for tests, from the machine's own package: scrapes, evaluates, ends with them."""

import json
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.stage import wait_until

WHY_NOT = (
    "Prometheus is not installed: on Debian, `apt install prometheus` (its service may stay off)"
)


def required(name: str) -> str:
    """Where a program of the package is; the test is skipped where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(WHY_NOT)
    return found


@dataclass(frozen=True)
class Prometheus:
    """A server that runs."""

    address: str

    def query(self, expression: str) -> list[Any]:
        """Evaluate now: for each series its labels and value. A wrong expression raises."""
        words = urllib.parse.urlencode({"query": expression})
        result: list[Any] = self._get(f"/api/v1/query?{words}")["result"]
        return result

    def value(self, expression: str) -> float | None:
        """The value of the one series that an expression gives; None when it gives none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> Mapping[str, str]:
        """The summaries of the alerts that fire, by their names."""
        alerts = self._get("/api/v1/alerts")["alerts"]
        return {
            each["labels"]["alertname"]: each["annotations"]["summary"]
            for each in alerts
            if each["state"] == "firing"
        }

    def _get(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{path}: {error.read().decode()}") from error


@contextmanager
def running(targets: Mapping[str, Sequence[str]], rules: str) -> Iterator[Prometheus]:
    """Start a server that scrapes and evaluates every second.

    Args:
        targets: Addresses by the name of their job.
        rules: A file of rules.
    """
    program = required("prometheus")
    with tempfile.TemporaryDirectory(prefix="headrace-prometheus-") as name:
        folder, address = Path(name), f"127.0.0.1:{_free_port()}"
        (folder / "rules.yml").write_text(rules)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(targets)))
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    program,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={address}",
                ],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            wait_until("Prometheus is ready", lambda: _is_ready(address, server, folder / "log"))
            yield Prometheus(address)
        finally:
            server.send_signal(signal.SIGKILL)  # nothing of it is kept
            server.wait(30)


def _configuration(targets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    scraped = [
        {"job_name": name, "static_configs": [{"targets": list(addresses)}]}
        for name, addresses in targets.items()
    ]
    often = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return {"global": often, "rule_files": ["rules.yml"], "scrape_configs": scraped}


def _is_ready(address: str, server: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
