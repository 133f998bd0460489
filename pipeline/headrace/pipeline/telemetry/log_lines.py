"""From a line's fields to its text: secrets masked, then JSON or a readable line."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import EventDict, Processor, WrappedLogger

_FIRST: Final = (
    *("timestamp", "level", "event", "logger", "role"),
    *("job", "attempt", "lane", "partition", "offset", "trace", "span"),
)
"""The order of the fields that a reader looks for; the others follow as they came."""
_SECRET_NAME: Final = re.compile(
    r"pass(?:word|wd|phrase)|secret|credential|authorization|api[-_.]?key|private[-_.]?key|token$",
    re.IGNORECASE,
)
_USER_INFO: Final = re.compile(r"(://[^\s/:@]*:)[^\s/@]+@")
_MASK: Final = "***"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LEVEL_COLOURS: Final = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31;1m",
}
_PLAIN: Final = "\x1b[0m"


def mask_secrets(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Replace the values of fields named like secrets, nested ones and passwords in URLs too."""
    return {name: _masked(name, value) for name, value in line.items()}


def _masked(name: object, value: Any) -> Any:
    if isinstance(name, str) and _SECRET_NAME.search(name) and value is not None:
        return _MASK
    if isinstance(value, str):
        return _USER_INFO.sub(rf"\1{_MASK}@", value) if "://" in value else value
    if isinstance(value, Mapping):
        return {key: _masked(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(None, inner) for inner in value]
    return value


def render_json(logger: WrappedLogger, method: str, line: EventDict) -> str:
    """Give one JSON object on one line. What JSON does not know is written as its `repr`."""
    return json.dumps(_ordered(line), default=repr, skipkeys=True)


def render_text(*, colours: bool) -> Processor:
    """Make a renderer of `time level event name=value …`, with a traceback below."""

    def render(logger: WrappedLogger, method: str, line: EventDict) -> str:
        fields = _ordered(line)
        level = str(fields.pop("level", "info"))
        traceback = fields.pop("exception", None)
        start = f"{fields.pop('timestamp', '')} {_level(level, colours=colours)} "
        event = _one_line(str(fields.pop("event", "")))
        pairs = "".join(f" {name}={_value(value)}" for name, value in fields.items())
        return f"{start}{event}{pairs}" + (f"\n{traceback}" if traceback else "")

    return render


def _ordered(line: EventDict) -> dict[str, Any]:
    ordered = {name: line[name] for name in _FIRST if name in line}
    return ordered | dict(line)


def _level(level: str, *, colours: bool) -> str:
    padded = f"{level:<8}"
    return f"{_LEVEL_COLOURS.get(level, '')}{padded}{_PLAIN}" if colours else padded


def _value(value: Any) -> str:
    if isinstance(value, str) and value and not re.search(r"[\s=\"'\\]", value):
        return _one_line(value)
    return repr(value)


def _one_line(text: str) -> str:
    """Escape control characters: what a job brought must not look like a line of its own."""
    return _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)
