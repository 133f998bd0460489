"""The proxy between a worker and its broker: what the network does to one of them.

What can go wrong: a cut that lets something through, a delay that also cuts the rate, or a proxy
that loses bytes and so makes faults that no network makes.
"""

import contextlib
import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from headrace.console.proof.proxy import Proxy


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65_536):
                self.request.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@pytest.fixture
def echo() -> Iterator[int]:
    with _Server(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    proxy = Proxy(echo).start()
    yield proxy
    proxy.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def ask(client: socket.socket, data: bytes) -> bytes:
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    got = bytearray()
    while len(got) < len(data):
        part = client.recv(65_536)
        assert part, "the connection was closed"
        got += part
    sender.join()
    return bytes(got)


def test_every_byte_arrives_in_order(proxy: Proxy) -> None:
    data = os.urandom(3_000_000)
    with connect(proxy) as one, connect(proxy) as other:
        assert ask(one, data) == data
        assert ask(other, b"hello") == b"hello"
        assert proxy.connections == 2


def test_a_cut_closes_what_is_open_and_what_is_tried_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as client:
        ask(client, b"before")
        proxy.cut()
        assert ended(client)
        with connect(proxy) as meanwhile:
            assert ended(meanwhile)
    proxy.heal()
    with connect(proxy) as client:
        assert ask(client, b"after") == b"after"


def test_a_frozen_connection_stays_open_and_loses_nothing(proxy: Proxy) -> None:
    with connect(proxy) as client:
        ask(client, b"before")
        proxy.freeze()
        client.sendall(b"held back")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)
        client.settimeout(10)
        proxy.heal()
        assert client.recv(100) == b"held back"


def test_a_slow_network_delays_each_way_and_bounds_the_rate(proxy: Proxy) -> None:
    with connect(proxy) as client:
        proxy.slow(timedelta(seconds=0.1), 200_000)
        began = time.monotonic()
        assert ask(client, b"x") == b"x"
        assert time.monotonic() - began >= 0.2
        began = time.monotonic()
        data = os.urandom(60_000)
        assert ask(client, data) == data
        assert time.monotonic() - began >= 0.3


def test_a_client_is_closed_when_nobody_listens_behind_the_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    proxy = Proxy(port).start()
    try:
        with connect(proxy) as client:
            assert ended(client)
    finally:
        proxy.close()
    proxy.close()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


def test_a_taken_port_is_an_error_and_leaves_no_thread(echo: int) -> None:
    with pytest.raises(OSError, match="in use"):
        Proxy(1, echo).start()
    assert "proof-proxy" not in {thread.name for thread in threading.enumerate()}


def ended(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True
