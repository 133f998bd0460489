import gzip
import json
import logging
import socket
import threading
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import HttpSettings
from headrace.pipeline.telemetry import http as telemetry_http
from headrace.pipeline.telemetry.health import CheckResult, Health
from headrace.pipeline.telemetry.http import HttpServer, serve
from headrace.pipeline.telemetry.metric_list import Metric
from headrace.pipeline.telemetry.metrics import Metrics


class Running:
    """A server on a free loopback port, and what stands behind it."""

    def __init__(self) -> None:
        self.health = Health()
        self.metrics = Metrics(role="worker")
        self.server = HttpServer(HttpSettings(), self.health, self.metrics.registry)
        self.port = self.server.start()

    def request(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(
                method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def json(self, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
        response, body = self.request(path, method)
        assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(body)


@pytest.fixture
def running() -> Iterator[Running]:
    started = Running()
    yield started
    started.server.stop()


def passes() -> CheckResult:
    return CheckResult(ok=True, detail="12 partitions")


def fails() -> CheckResult:
    return CheckResult(ok=False, detail="no answer for 5s")


def breaks() -> CheckResult:
    raise RuntimeError("the check itself broke")


def test_a_process_without_checks_is_alive_but_not_ready(running: Running) -> None:
    assert running.json("/health/live") == (200, {"status": "ok", "kind": "live", "checks": []})
    assert running.json("/health/ready")[0] == 503


def test_ready_lists_each_check_and_passes_when_all_do(running: Running) -> None:
    running.health.add("assigned", passes)
    running.health.add("broker", passes, kind="ready")
    assert running.json("/health/ready") == (
        200,
        {
            "status": "ok",
            "kind": "ready",
            "checks": [
                {"name": "assigned", "ok": True, "detail": "12 partitions"},
                {"name": "broker", "ok": True, "detail": "12 partitions"},
            ],
        },
    )


def test_one_failing_check_is_enough_and_only_for_its_kind(running: Running) -> None:
    running.health.add("assigned", passes)
    running.health.add("broker", fails)
    status, body = running.json("/health/ready")
    assert (status, body["status"]) == (503, "failed")
    assert body["checks"][1] == {"name": "broker", "ok": False, "detail": "no answer for 5s"}
    assert running.json("/health/live")[0] == 200


def test_a_check_that_raises_has_failed_with_its_message(running: Running) -> None:
    running.health.add("loop", breaks, kind="live")
    status, body = running.json("/health/live")
    assert status == 503
    assert body["checks"][0]["detail"] == "RuntimeError: the check itself broke"


def test_a_check_is_replaced_by_name_and_can_be_removed(running: Running) -> None:
    running.health.add("broker", fails)
    running.health.add("broker", passes)
    assert running.json("/health/ready")[0] == 200
    running.health.remove("broker")
    running.health.remove("broker")
    assert running.json("/health/ready")[1]["checks"] == []


def test_an_unknown_kind_of_check_is_refused() -> None:
    with pytest.raises(ValueError, match="startup"):
        Health().add("x", passes, kind="startup")


def test_metrics_parse_as_prometheus_text(running: Running) -> None:
    running.metrics.child(Metric.BROKER_UP).set(1)
    response, body = running.request("/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert families["headrace_broker_up"].samples[0].value == 1
    assert "process_resident_memory_bytes" in families


def test_openmetrics_is_spoken_on_request(running: Running) -> None:
    running.metrics.child(Metric.LOST_THREADS).inc()
    response, body = running.request(
        "/metrics", Accept="application/openmetrics-text; version=1.0.0"
    )
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_answers_are_compressed_on_request(running: Running) -> None:
    response, body = running.request("/metrics", Accept_Encoding="gzip, deflate")
    assert response.headers["Content-Encoding"] == "gzip"
    assert b"headrace_build_info" in gzip.decompress(body)


def test_head_gives_the_headers_alone(running: Running) -> None:
    response, body = running.request("/health/live", "HEAD")
    assert (response.status, body) == (200, b"")
    assert int(response.headers["Content-Length"]) > 0


def test_a_query_does_not_change_the_path(running: Running) -> None:
    assert running.json("/health/live?verbose=1")[0] == 200


def test_an_unknown_path_is_answered_with_those_there_are(running: Running) -> None:
    status, body = running.json("/healthz")
    assert status == 404
    assert body["paths"] == ["/health/live", "/health/ready", "/metrics"]


def test_other_methods_are_refused_in_json(running: Running) -> None:
    status, body = running.json("/metrics", "POST")
    assert status == 501
    assert body["methods"] == ["GET", "HEAD"]


def test_bytes_that_are_no_request_harm_nobody(running: Running) -> None:
    for rubbish in (b"\x16\x03\x01\x02\x00\n\n", b"GET\n\n", b"", b"GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", running.port), timeout=5) as client:
            client.sendall(rubbish)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    assert running.json("/health/live")[0] == 200


def test_a_registry_that_fails_is_a_500_and_the_server_lives(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def collect(self) -> Any:
            raise RuntimeError("no metrics today")

    running.metrics.registry._collector_to_names[Broken()] = []
    assert running.json("/metrics") == (500, {"error": "no metrics today"})
    assert "/metrics failed" in caplog.text
    assert running.json("/health/live")[0] == 200


def test_silent_clients_hold_up_neither_others_nor_the_stop(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry_http._Handler, "timeout", None)
    silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(8)]
    silent[0].sendall(b"GET /metrics HTT")
    assert running.json("/health/live")[0] == 200
    running.server.stop()
    for client in silent:
        client.settimeout(10)
        assert client.recv(1) == b""
        client.close()


def test_a_client_over_its_time_is_cut_off(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry_http._Handler, "timeout", None)
    monkeypatch.setattr(telemetry_http, "_REQUEST_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as slow:
        slow.sendall(b"GET /metrics HTTP/1.0\r\n")
        assert slow.recv(1) == b""


def test_more_connections_than_it_serves_are_closed_at_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry_http, "_MOST_CONNECTIONS", 1)
    address = ("127.0.0.1", running.port)
    with (
        socket.create_connection(address, timeout=10),
        socket.create_connection(address, timeout=10) as second,
    ):
        assert second.recv(1) == b""


def test_the_port_is_told_logged_and_free_again_after_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics(role="worker")
    with HttpServer(HttpSettings(), Health(), metrics.registry) as server:
        url = server.url
        with urllib.request.urlopen(f"{url}/health/live", timeout=10) as response:
            assert response.status == 200
    assert f"health and metrics at {url}" in caplog.text
    assert server.url == ""
    server.stop()
    port = int(url.rpartition(":")[2])
    with HttpServer(HttpSettings(http_port=port), Health(), metrics.registry) as again:
        assert again.url == url
    assert not [thread for thread in threading.enumerate() if thread.name == "headrace-http"]


def test_requests_are_not_logged_above_debug(
    running: Running, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    running.json("/health/live")
    running.json("/nothing")
    assert caplog.text == ""
    assert capfd.readouterr().err == ""


def test_a_taken_port_is_refused_with_variable_value_and_remedy(running: Running) -> None:
    with pytest.raises(SettingsError) as caught:
        serve(HttpSettings(http_port=running.port), Health(), running.metrics.registry)
    assert str(caught.value) == (
        f"HEADRACE_HTTP_PORT={running.port}: another process listens on "
        f"127.0.0.1:{running.port}; choose another port, or 0 for any free one"
    )


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_that_is_not_here_is_refused_by_name(host: str) -> None:
    with pytest.raises(SettingsError, match=rf"^HEADRACE_HTTP_HOST={host}: .*use 127.0.0.1"):
        serve(HttpSettings(http_host=host), Health(), Metrics(role="w").registry)


def test_child_processes_count_up_from_the_port() -> None:
    registry = Metrics(role="worker").registry
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = serve(HttpSettings(http_port=port - 1), Health(), registry, offset=1)
    assert server is not None
    assert server.url.endswith(f":{port}")
    server.stop()
    with pytest.raises(SettingsError, match=r"HEADRACE_HTTP_PORT.*choose a lower port"):
        serve(HttpSettings(http_port=65_535), Health(), registry, offset=1)


def test_ipv6_addresses_work() -> None:
    try:
        server = serve(HttpSettings(http_host="::1"), Health(), Metrics(role="w").registry)
    except SettingsError:
        pytest.skip("this machine has no IPv6 loopback")
    assert server is not None
    assert server.url.startswith("http://[::1]:")
    with urllib.request.urlopen(f"{server.url}/health/live", timeout=10) as response:
        assert response.status == 200
    server.stop()


def test_nothing_listens_when_it_is_switched_off() -> None:
    assert serve(HttpSettings(http_enabled=False), Health(), Metrics(role="w").registry) is None
