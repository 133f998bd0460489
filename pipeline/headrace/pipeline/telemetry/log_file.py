"""The log file: rotated by size, written by one process only."""

import fcntl
import os
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import LogSettings

_MEGABYTE: Final = 1_000_000


def open_log_file(settings: LogSettings, role: str) -> RotatingFileHandler:
    """Open the log file, making its folder.

    Raises:
        SettingsError: It cannot be written, or another process writes to it.
    """
    path = _path(settings.log_file_path, role)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _OwnedFile(path, settings.log_file_max_size_mb, settings.log_file_max_backups)
    except BlockingIOError:
        raise SettingsError(
            f"HEADRACE_LOG_FILE_PATH={settings.log_file_path}: another process writes to {path}, "
            "and two cannot rotate one file; give each a path of its own (`{role}` and `{pid}` in "
            "it are filled in)"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"HEADRACE_LOG_FILE_PATH={settings.log_file_path}: {path} cannot be written "
            f"({error.strerror}); choose a path that this user may write, or set "
            "HEADRACE_LOG_FILE_ENABLED=false"
        ) from None


def _path(pattern: Path, role: str) -> Path:
    return Path(str(pattern).replace("{role}", role).replace("{pid}", str(os.getpid())))


class _OwnedFile(RotatingFileHandler):
    """Holds a lock on the file that it writes; starts afresh when no backups are kept."""

    def __init__(self, path: Path, megabytes: int, backups: int) -> None:
        super().__init__(
            path,
            maxBytes=megabytes * _MEGABYTE,
            backupCount=backups,
            encoding="utf-8",
            errors="backslashreplace",
        )

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.close()
            raise
        return stream

    def doRollover(self) -> None:  # noqa: N802 - the name of the base
        if self.backupCount == 0 and self.stream is not None:
            self.stream.truncate(0)
            return
        super().doRollover()
