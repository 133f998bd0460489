"""`headrace exporter` as it is run: a process with a port of its own, on this machine alone."""

import urllib.parse
from pathlib import Path

import pytest

from tests.guarantees.conftest import new_stage
from tests.support.own_broker import ask
from tests.support.stage import wait_until

pytestmark = pytest.mark.kafka


def test_a_scrape_shows_the_jobs_of_each_lane_on_loopback(kafka: str, tmp_path: Path) -> None:
    stage = new_stage(kafka, tmp_path)
    stage.send("default.normal", b"junk", headers=[("ce_id", b"1")])
    with stage.process("exporter", HEADRACE_EXPORTER_INTERVAL="1s") as exporter:
        wait_until("it is ready", lambda: ask(exporter, "/health/ready")[0] == 200)
        text = ask(exporter, "/metrics")[1]
        assert exporter.terminate() == 0
    lane = stage.topic("default.normal")
    assert f'headrace_ready_jobs{{lane="{lane}"}} 1.0' in text
    assert f'kafka_consumergroup_lag_sum{{consumergroup="{lane}",topic="{lane}"}} 1.0' in text
    assert f'headrace_lag_verdict{{topic="{lane}",verdict="stopped"}} 1.0' in text
    (url,) = {word for word in exporter.text().split() if word.startswith("http://")}
    assert urllib.parse.urlsplit(url).hostname == "127.0.0.1"
    stage.close()
