"""Fetching Kafka: from a repository on the loopback, through the real jgo.

What can go wrong: the line drops in the middle of a jar, a proxy answers with something else,
nobody answers, two checkouts fetch at once, the extra is not installed.
"""

import hashlib
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headrace.pipeline.broker import errors, jars, pins, repository
from headrace.pipeline.broker.options import silent

OFFLINE = """
import socket, sys
sys.modules["jgo"] = None
def refuse(*arguments): raise AssertionError("the network was touched")
socket.socket.connect = refuse
from headrace.pipeline import broker
broker.fetch(print)
"""


def jar(name: str, content: bytes) -> pins.Jar:
    digest = hashlib.sha256(content).hexdigest()
    return pins.Jar("org.example", name, "1.0", len(content), digest)


CONTENTS = {f"part-{letter}": letter.encode() * 5_000 for letter in "abcdefgh"}
PINS = pins.Pins("9.9.9", tuple(jar(name, content) for name, content in CONTENTS.items()))


@dataclass
class Repository:
    """A Maven repository whose answers a test can spoil: path -> how many times to hang up."""

    files: dict[str, bytes]
    torn: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked[self.path] += 1
                content = repository.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if repository.torn[self.path] > 0:
                    repository.torn[self.path] -= 1
                    content = (content or b"")[:100]
                self.wfile.write(content or b"")

            def log_message(self, format: str, *args: object) -> None:
                """Silence."""

        return Handler


def path_of(name: str) -> str:
    return f"/org/example/{name}/1.0/{name}-1.0.jar"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADRACE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "_FIRST_PAUSE_SECONDS", 0.0)
    return tmp_path / "cache"


def use_mirror(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[repositories]\nmirror = http://127.0.0.1:{port}\n", "utf-8")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Repository]:
    known = Repository({path_of(name): content for name, content in CONTENTS.items()})
    with ThreadingHTTPServer(("127.0.0.1", 0), known.handler()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        use_mirror(server.server_address[1], tmp_path, monkeypatch)
        yield known
        server.shutdown()
        thread.join()


def test_the_first_fetch_tells_its_progress_and_the_second_needs_no_repository(
    served: Repository, cache: Path
) -> None:
    lines: list[str] = []
    paths = jars.classpath(PINS, lines.append)

    assert [path.read_bytes() for path in paths] == list(CONTENTS.values())
    assert {path.parent for path in paths} == {cache / "kafka-9.9.9"}
    assert "8 of 8 jars" in lines[-1]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(p.name for p in paths)

    served.asked.clear()
    assert jars.classpath(PINS, lines.append) == paths
    assert not served.asked


def test_a_torn_download_is_tried_again(served: Repository) -> None:
    served.torn[path_of("part-c")] = 2
    lines: list[str] = []
    jars.classpath(PINS, lines.append)
    assert served.asked[path_of("part-c")] == 3
    assert sum("part-c-1.0.jar" in line and "trying again" in line for line in lines) == 2


def test_a_jar_with_other_bytes_is_refused_and_not_kept(served: Repository, cache: Path) -> None:
    served.files[path_of("part-b")] = b"B" * 5_000
    with pytest.raises(errors.ChecksumError, match=r"part-b-1\.0\.jar came with SHA-256 [0-9a-f]+"):
        jars.classpath(PINS, silent)
    assert not (cache / "kafka-9.9.9" / "part-b-1.0.jar").exists()
    assert not list((cache / "kafka-9.9.9").glob(".fetching-*"))


def test_a_damaged_jar_in_the_cache_is_fetched_anew(served: Repository) -> None:
    paths = jars.classpath(PINS, silent)
    paths[0].write_bytes(b"z" * 5_000)
    served.asked.clear()
    jars.classpath(PINS, silent)
    assert paths[0].read_bytes() == CONTENTS["part-a"]
    assert served.asked[path_of("part-a")] == 1
    assert served.asked[path_of("part-b")] == 0


def test_two_fetches_at_once_ask_for_each_jar_once(served: Repository) -> None:
    found: list[tuple[Path, ...]] = []

    def fetch() -> None:
        found.append(jars.classpath(PINS, silent))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 3
    assert {served.asked[path_of(name)] for name in CONTENTS} == {1}


def test_when_nobody_answers_the_error_speaks_of_network_proxy_and_mirror(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # bound, not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        use_mirror(closed.getsockname()[1], tmp_path, monkeypatch)
        with pytest.raises(errors.DownloadError, match=r"4 tries.*network.*proxy.*mirror"):
            jars.classpath(PINS, silent)


def test_without_the_extra_the_error_says_how_to_install_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jgo", None)
    monkeypatch.setitem(sys.modules, "jgo.config", None)
    with pytest.raises(errors.ExtraMissingError, match=r"pip install 'headrace\[kafka\]'"):
        jars.classpath(PINS, silent)


def test_a_cache_that_cannot_be_made_is_an_error_naming_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("HEADRACE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(errors.DirectoryError, match="file/kafka-"):
        jars.classpath(PINS, silent)


@pytest.mark.usefixtures("kafka")
def test_with_all_jars_cached_neither_jgo_nor_the_network_is_touched() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False
    )
    if "DownloadError" in done.stderr or "ExtraMissing" in done.stderr:
        pytest.skip("the broker in use is not the embedded one, so the cache is empty")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_pinned_jars_are_one_kafka_and_its_logging_each_once() -> None:
    pinned = pins.load()
    names = Counter(each.name for each in pinned.jars)
    assert max(names.values()) == 1
    versions = {each.version for each in pinned.jars if each.group == "org.apache.kafka"}
    assert versions == {pinned.kafka}
    assert {"kafka_2.13", "kafka-clients", "log4j-core", "log4j-slf4j-impl"} <= set(names)
    assert pins.dump(pinned.kafka, pinned.jars).count("://") == 0


def test_mirrors_are_asked_before_the_central_repository(
    served: Repository, tmp_path: Path
) -> None:
    context = repository.maven(tmp_path)
    assert list(context.remote_repos) == ["mirror", "central"]
