import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headrace.schemas.errors import RegistryUnavailableError, UnknownSchemaError
from headrace.schemas.registry import RegistrySchemas
from tests.schemas.test_framing import THUMBNAIL

Answers = dict[str, tuple[int, str]]


class Registry(ThreadingHTTPServer):
    """A registry that answers from a dict and notes who asked."""

    answers: Answers
    asked: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Registry)
        self.server.asked.append((self.path, self.headers["Authorization"]))
        status, body = self.server.answers.get(self.path, (404, '{"error_code": 40403}'))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def registry(answers: Answers) -> Iterator[tuple[Registry, str]]:
    server = Registry(("127.0.0.1", 0), Handler)
    server.answers, server.asked = answers, []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server, f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(text: str, **more: object) -> tuple[int, str]:
    return 200, json.dumps({"schema": text, **more})


def test_a_record_in_confluent_framing_is_read_with_the_registrys_schema_asked_for_once() -> None:
    with registry({"/schemas/ids/7": answer(THUMBNAIL.schema_text)}) as (server, address):
        schemas = RegistrySchemas(f"http://{address}/")
        payload = THUMBNAIL.encode(THUMBNAIL.bind("a.png"), registry_id=7)
        for _ in range(3):
            assert THUMBNAIL.decode(payload, schemas) == {"path": "a.png", "width": 320}
        assert server.asked == [("/schemas/ids/7", None)]


def test_the_password_is_sent_but_never_shown() -> None:
    with registry({}) as (server, address):
        schemas = RegistrySchemas(f"http://us%40er:geheim@{address}")
        with pytest.raises(UnknownSchemaError, match="registry id 9") as unknown:
            schemas.by_registry_id(9)
        expected = base64.b64encode(b"us@er:geheim").decode()
        assert server.asked[0][1] == f"Basic {expected}"
        assert "geheim" not in repr(schemas) + str(unknown.value)


@pytest.mark.parametrize(
    "reply",
    [
        (500, "oops"),
        (401, "who are you"),
        (200, "<html>"),
        (200, "[]"),
        (200, '{"schema": 5}'),
    ],
    ids=str,
)
def test_an_answer_that_is_no_schema_means_unavailable(reply: tuple[int, str]) -> None:
    with registry({"/schemas/ids/1": reply}) as (server, address):
        with pytest.raises(RegistryUnavailableError, match=f"registry at http://{address} gave"):
            RegistrySchemas(f"http://u:geheim@{address}").by_registry_id(1)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [answer("{"), answer('"int"', schemaType="JSON"), answer('"int"', references=[{"name": "a"}])],
    ids=str,
)
def test_a_schema_that_cannot_be_read_is_unknown(reply: tuple[int, str]) -> None:
    with (
        registry({"/schemas/ids/1": reply}) as (_, address),
        pytest.raises(UnknownSchemaError, match="registry id 1"),
    ):
        RegistrySchemas(f"http://{address}").by_registry_id(1)


def test_a_registry_that_is_down_is_unavailable_and_asked_again_later() -> None:
    with registry({}) as (_, address):
        pass
    schemas = RegistrySchemas(f"http://u:geheim@{address}", timeout=timedelta(seconds=1))
    for _ in range(2):
        with pytest.raises(RegistryUnavailableError, match="Connection refused") as down:
            schemas.by_registry_id(1)
        assert "geheim" not in str(down.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "registry:8081", "http://"])
def test_an_address_that_is_not_http_is_refused_at_once(url: str) -> None:
    with pytest.raises(RegistryUnavailableError, match="not an http"):
        RegistrySchemas(url)


def test_a_redirect_is_not_followed_so_that_the_password_goes_nowhere_else() -> None:
    with registry({"/schemas/ids/1": answer('"int"')}) as (elsewhere, other):
        moved = {"/schemas/ids/1": (302, f"http://{other}/schemas/ids/1")}
        with registry(moved) as (_, address), pytest.raises(RegistryUnavailableError, match="302"):
            RegistrySchemas(f"http://u:geheim@{address}").by_registry_id(1)
        assert elsewhere.asked == []


def test_a_registry_knows_no_fingerprints() -> None:
    with pytest.raises(UnknownSchemaError, match="fingerprint 4142"):
        RegistrySchemas("http://127.0.0.1:1").by_fingerprint(b"AB")
