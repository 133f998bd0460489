"""The jars of Kafka on this machine: verified from the cache, or fetched into it once."""

import shutil
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from headrace.pipeline.broker import layout, locks, repository
from headrace.pipeline.broker.errors import ChecksumError, DownloadError
from headrace.pipeline.broker.options import Progress
from headrace.pipeline.broker.pins import Jar, Pins, sha256_of

_TRIES = 4
_FIRST_PAUSE_SECONDS = 1.0
_CONNECTIONS = 4
_MEGABYTE = 1_000_000


def classpath(pins: Pins, progress: Progress) -> tuple[Path, ...]:
    """The verified jars, fetched first if the cache lacks any.

    With all jars in the cache neither jgo nor the network is touched. Several processes may call
    this at once: one fetches, the others wait for it.

    Raises:
        ChecksumError: a jar came with other bytes than the pinned ones.
        DownloadError: the network, or the repository, is the trouble.
        DirectoryError: the cache cannot be written, or its disk is full.
        ExtraMissingError: something must be fetched and jgo is not installed.
    """
    folder = layout.cache_directory() / f"kafka-{pins.kafka}"
    if missing_in(folder, pins.jars):
        _fetch_into(folder, pins, progress)
    return tuple(folder / jar.filename for jar in pins.jars)


def missing_in(folder: Path, jars: Sequence[Jar]) -> tuple[Jar, ...]:
    """Those jars that the folder lacks or has with other bytes."""
    return tuple(jar for jar in jars if not jar.is_at(folder / jar.filename))


def _fetch_into(folder: Path, pins: Pins, progress: Progress) -> None:
    layout.make_writable(folder)
    layout.require_space(folder)
    waiting = "Waiting for another process that is downloading Kafka"
    with locks.exclusive(folder.with_name(f"{folder.name}.lock"), progress, waiting):
        missing = missing_in(folder, pins.jars)
        if missing:
            _fetch_all(folder, missing, pins.kafka, progress)


def _fetch_all(folder: Path, missing: Sequence[Jar], kafka: str, progress: Progress) -> None:
    tally = _Tally(kafka, len(missing), sum(jar.size for jar in missing), progress)
    tally.begin()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as staging:
        fetch = repository.fetcher(Path(staging))
        with ThreadPoolExecutor(_CONNECTIONS, "headrace-download") as pool:
            tasks = [pool.submit(_fetch_one, fetch, jar, folder, tally) for jar in missing]
            try:
                for task in tasks:
                    task.result()
            except BaseException:  # Ctrl-C too: don't sit out the other jars' retries
                tally.abandoned.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _fetch_one(fetch: repository.Fetch, jar: Jar, folder: Path, tally: "_Tally") -> None:
    path = _persistently(fetch, jar, tally)
    found = sha256_of(path)
    if found != jar.sha256:
        raise ChecksumError(
            f"{jar.filename} came with SHA-256 {found}, this release of Headrace pins {jar.sha256}",
            "it was not kept; if a mirror or proxy stands between, have it fixed, and never edit "
            "the pinned checksum",
        )
    shutil.move(path, folder / jar.filename)  # a rename: others see the whole jar or none
    tally.done(jar)


def _persistently(fetch: repository.Fetch, jar: Jar, tally: "_Tally") -> Path:
    for attempt in range(1, _TRIES + 1):
        try:
            return fetch(jar)
        except (OSError, RuntimeError) as error:
            if attempt == _TRIES or tally.abandoned.is_set():
                raise _download_error(jar, error) from error
            tally.say(f"{jar.filename}: {_short(error)}; trying again ({attempt} of {_TRIES - 1})")
            tally.abandoned.wait(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
    raise AssertionError  # pragma: no cover  (the loop returns or raises)


def _download_error(jar: Jar, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return layout.unusable(Path(error.filename), error)
    return DownloadError(
        f"{jar.filename} could not be fetched in {_TRIES} tries ({_short(error)})",
        "check the network and the proxy settings (HTTPS_PROXY), or name a mirror under "
        "[repositories] in ~/.config/jgo.conf, and start again: what was fetched is kept",
    )


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


@dataclass
class _Tally:
    """Counts finished jars from several threads and tells them one line at a time."""

    kafka: str
    jars: int
    size: int
    progress: Progress
    abandoned: threading.Event = field(default_factory=threading.Event)
    _jars_done: int = 0
    _bytes_done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        self.say(f"Downloading Kafka {self.kafka}: {self.jars} jars, {self._megabytes(self.size)}")

    def done(self, jar: Jar) -> None:
        with self._lock:
            self._jars_done += 1
            self._bytes_done += jar.size
            self.progress(
                f"Downloading Kafka {self.kafka}: {self._jars_done} of {self.jars} jars, "
                f"{self._megabytes(self._bytes_done)} of {self._megabytes(self.size)}"
            )

    def say(self, line: str) -> None:
        with self._lock:
            self.progress(line)

    @staticmethod
    def _megabytes(size: int) -> str:
        return f"{size / _MEGABYTE:.1f} MB"
