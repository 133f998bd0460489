"""A real PostgreSQL for tests, from the machine's own package: a server that ends with them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START = 60.0
_USER = "postgres"


def binaries() -> Path | None:
    """Where PostgreSQL's programs are; None when it is not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextmanager
def running(programs: Path, *, durable: bool = False) -> Iterator[str]:
    """Start a server on loopback; gives the SQLAlchemy URL of an empty database.

    Args:
        programs: Where PostgreSQL's programs are.
        durable: Whether each commit waits for the disk, as outside of tests.
    """
    user = _USER if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="headrace-postgres-") as name:
        folder = Path(name)
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        data, port = folder / "data", _free_port()
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "-N"],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "on" if durable else "off",
        }
        given = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *given],
                stdout=log,
                stderr=log,
                user=user,
                cwd=folder,
            )
        try:
            _await_answer(server, port, folder / "log")
            yield f"postgresql+psycopg://test@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # without waiting for clients
            server.wait(30)


def _await_answer(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + _START
    while True:
        try:
            with psycopg.connect(host="127.0.0.1", port=port, user="test", dbname="postgres"):
                return
        except psycopg.OperationalError as error:
            assert server.poll() is None, log.read_text()
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL does not answer: {error}") from error
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
