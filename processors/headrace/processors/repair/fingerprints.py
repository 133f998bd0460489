"""Fingerprints of errors: alike errors have the same one, wherever and with whatever data.

A fingerprint is the exception's type and the frames of its traceback, each as file name and
function: no line numbers, so that it outlives an edit above; no folders, so that it is the same on
every machine. Without a traceback the message stands in, its numbers and ids as `#`.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

_FRAME: Final = re.compile(r'File "([^"\n]*)", line \d+, in ([^\n]+)')
_OWN: Final = re.compile(r"[/\\]headrace[/\\](?:consumers|pipeline|testing)[/\\]")
_SEPARATOR: Final = re.compile(r"[/\\]")
_PLACEHOLDER: Final = "#"
_IDS: Final = re.compile(
    r"0x[0-9a-f]+|\b(?=[0-9a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]{4,}){0,4}\b|\d+", re.IGNORECASE
)
_FRAMES: Final = 20
"""Innermost frames that count. A traceback is cut in front, so the outer ones may be missing."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What alike errors share.

    Attributes:
        id: 12 hex digits, the same in every process and version of Python.
        title: The error in a line: its type, and its message with numbers and ids as `#`.
        frames: The innermost frames as `file.py:function`, outermost first; empty without a
            traceback.
    """

    id: str
    title: str
    frames: tuple[str, ...]


def fingerprint(error_type: str, message: str, traceback: str) -> Fingerprint:
    """Give the fingerprint of an error."""
    found = frames(traceback)
    title = f"{error_type}: {plain}" if (plain := normalised(message)) else error_type
    what = (error_type, *found) if found else (title,)
    digest = hashlib.sha256("\n".join(what).encode(errors="replace")).hexdigest()
    return Fingerprint(digest[:12], title, found)


def frames(traceback: str) -> tuple[str, ...]:
    """Give the frames of a traceback as `file.py:function`, without those of Headrace itself.

    The same handler fails with other frames of ours above it in a thread and on a loop.
    """
    found = (
        f"{_SEPARATOR.split(path)[-1]}:{function.strip()}"
        for path, function in _FRAME.findall(traceback)
        if not _OWN.search(path)
    )
    return tuple(found)[-_FRAMES:]


def normalised(message: str) -> str:
    """Give the first line of a message with numbers and ids as `#`."""
    lines = message.splitlines()
    return _IDS.sub(_PLACEHOLDER, lines[0]).strip() if lines else ""
