"""An exporter keeps what it saw, says how old it is, and never shows a zero that nobody saw."""

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace.pipeline.errors import KafkaUnavailableError, RightsError, SettingsError
from headrace.pipeline.settings import ExporterSettings, load
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.processors.lag import exporter as exporter_module
from headrace.processors.lag.exporter import LagExporter
from tests.processors.lag.build import AT, Said, pipeline_of
from tests.processors.view_shop import kafka_settings

LANE = "shop.q0.normal"


class Scripted:
    """An exporter that sees what a test says, at a time that a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.now = AT
        self.metrics = Metrics(role="exporter")
        self.said = Said(pipeline_of(1))
        self.error: Exception | None = None
        chosen = load(ExporterSettings, **settings)
        kafka = kafka_settings("127.0.0.1:1")
        self.exporter = LagExporter(self.said.pipeline, kafka, chosen, self.metrics)
        monkeypatch.setattr(self.exporter, "_reader", SimpleNamespace(read=self._read))
        monkeypatch.setattr(self.exporter, "_publish", lambda _: None)
        monkeypatch.setattr(exporter_module, "now_ms", lambda: self.now)

    def _read(self) -> Any:
        if self.error is not None:
            raise self.error
        self.said.at = self.now
        return self.said.report()

    def look(self, seconds: int = 0, error: Exception | None = None) -> dict[str, float]:
        """Look so much later, and scrape."""
        self.now += seconds * 1_000
        self.error = error
        self.exporter.look()
        return self.scrape()

    def scrape(self) -> dict[str, float]:
        """Every sample of a lane, and those without labels."""
        families = text_string_to_metric_families(generate_latest(self.metrics.registry).decode())
        return {
            " ".join([s.name, *(v for k, v in s.labels.items() if v in ("failed", "ok"))]): s.value
            for family in families
            for s in family.samples
            if LANE in s.labels.values() or set(s.labels) <= {"look"}
        }


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    return Scripted(monkeypatch)


def test_nothing_is_shown_before_the_first_look(scripted: Scripted) -> None:
    shown = scripted.scrape()
    assert not {"headrace_lag_jobs", "headrace_lag_age_seconds", "kafka_consumergroup_lag"} & {
        *shown
    }
    assert scripted.exporter.is_stale


def test_figures_stay_with_their_age_while_kafka_is_away_and_are_then_taken_away(
    scripted: Scripted,
) -> None:
    away = KafkaUnavailableError("no answer")
    fresh = scripted.look()
    assert (fresh["headrace_lag_jobs"], fresh["headrace_lag_age_seconds"]) == (4, 0)
    old = scripted.look(100, away)
    assert (old["headrace_lag_jobs"], old["headrace_ready_jobs"]) == (4, 4)
    assert (old["headrace_lag_age_seconds"], old["headrace_lag_looks_total failed"]) == (100, 1)
    assert old["kafka_consumergroup_lag"] == 5
    stale = scripted.look(21, away)
    assert stale["headrace_lag_age_seconds"] == 121
    names = ("headrace_lag_jobs", "headrace_ready_jobs", "kafka_consumergroup_lag")
    assert not [name for name in names if name in stale]
    assert scripted.exporter.trouble == "no answer"
    again = scripted.look(5)
    assert (again["headrace_lag_jobs"], again["headrace_lag_age_seconds"]) == (4, 0)
    assert scripted.exporter.trouble == ""


def test_a_right_that_is_missing_is_told_and_does_not_end_it(scripted: Scripted) -> None:
    shown = scripted.look(0, RightsError("group shop: grant the right DESCRIBE"))
    assert "headrace_lag_jobs" not in shown
    assert "DESCRIBE" in scripted.exporter.trouble


def test_aliases_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Scripted(monkeypatch, exporter_aliases=False).look()
    assert "headrace_lag_jobs" in shown
    assert not [name for name in shown if name.startswith("kafka_")]


def test_it_ends_when_it_is_told_to(scripted: Scripted) -> None:
    read = scripted._read

    def once() -> Any:
        scripted.exporter.stop()
        return read()

    scripted.exporter._reader = SimpleNamespace(read=once, close=lambda: None)  # type: ignore[assignment]
    assert scripted.exporter.run() == 0
    assert not scripted.exporter.is_stale


def test_figures_that_would_go_before_the_next_look_are_refused() -> None:
    with pytest.raises(SettingsError, match="HEADRACE_EXPORTER_INTERVAL=15s"):
        load(ExporterSettings, exporter_stale_after="10s")
