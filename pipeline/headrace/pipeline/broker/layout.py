"""Where everything of one embedded broker lies on disk, and whether it can be written there."""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from headrace.pipeline.broker.errors import BrokerError, DirectoryError, DiskFullError

CACHE_VARIABLE = "HEADRACE_CACHE_DIR"
MINIMUM_FREE_BYTES = 200 * 1024 * 1024
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Layout:
    """The files of the broker of one directory."""

    root: Path

    @property
    def state(self) -> Path:
        """What one process tells the next about the broker."""
        return self.root / "kafka.json"

    @property
    def lock(self) -> Path:
        """Held while the broker is started or stopped."""
        return self.root / "kafka.lock"

    @property
    def home(self) -> Path:
        """All that is Kafka's."""
        return self.root / "kafka"

    @property
    def properties(self) -> Path:
        """Kafka's settings, written anew at each start."""
        return self.home / "server.properties"

    @property
    def java_arguments(self) -> Path:
        """The JVM's flags and classpath, written anew at each start."""
        return self.home / "java.args"

    @property
    def logging(self) -> Path:
        """Settings of log4j2, written anew at each start."""
        return self.home / "log4j2.properties"

    @property
    def version(self) -> Path:
        """The version of Kafka that last wrote the data."""
        return self.home / "version"

    @property
    def data(self) -> Path:
        """The topics. The only thing here that cannot be made again."""
        return self.home / "data"

    @property
    def formatted(self) -> Path:
        """Made by Kafka when it formats the data directory."""
        return self.data / "meta.properties"

    @property
    def logs(self) -> Path:
        """What Kafka and its JVM say."""
        return self.home / "log"

    @property
    def log(self) -> Path:
        """Kafka's own log."""
        return self.logs / "broker.log"

    @property
    def console(self) -> Path:
        """What the JVM itself prints: a crash, or a complaint about its flags."""
        return self.logs / "console.log"

    @property
    def formatting(self) -> Path:
        """What Kafka said when it formatted the data directory."""
        return self.logs / "format.log"

    @property
    def security(self) -> Path:
        """Certificates, passwords and settings of a broker that asks who comes."""
        return self.home / "security"

    @property
    def asks(self) -> Path:
        """Names how clients must prove who they are; not there where nobody asks."""
        return self.security / "asks"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            DirectoryError: a folder cannot be made or written.
            DiskFullError: less than 200 MiB are free.
        """
        for folder in (self.home, self.data, self.logs):
            make_writable(folder)
        require_space(self.home)


def layout_of(directory: Path) -> Layout:
    """The layout of a directory; symbolic links resolved, so that one place has one name."""
    return Layout(directory.expanduser().resolve())


def cache_directory() -> Path:
    """Where jars are kept for all checkouts of one user.

    `HEADRACE_CACHE_DIR`, else `headrace` in `XDG_CACHE_HOME`, else `~/.cache/headrace`.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "headrace"


def make_writable(folder: Path) -> None:
    """Make a folder with its parents, and check that files can be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unusable(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def require_space(folder: Path) -> None:
    """Refuse early what would fail half-way: Kafka stops for good when its disk is full."""
    free = shutil.disk_usage(folder).free
    if free < MINIMUM_FREE_BYTES:
        raise DiskFullError(
            f"only {free // _MIB} MiB are free on the disk of {folder}",
            f"free at least {MINIMUM_FREE_BYTES // _MIB} MiB or use a directory on another disk",
        )


def unusable(path: Path, error: OSError) -> BrokerError:
    """The error of ours for an OSError on a path."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"the disk is full: {path} could not be written ({error.strerror})",
            f"free at least {MINIMUM_FREE_BYTES // _MIB} MiB or use a directory on another disk",
        )
    return DirectoryError(
        f"{path} cannot be written ({error.strerror or error})",
        "make it writable for this user, or choose another directory",
    )


def size_on_disk(folder: Path) -> int:
    """Bytes taken on disk (Kafka's index files are sparse, so lengths would mislead)."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue  # Kafka deletes segments while we look
    return total
