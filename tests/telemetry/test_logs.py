import fcntl
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import LogFormat, LogSettings
from headrace.pipeline.telemetry import logs

SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, [*root.handlers]
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Stderr:
    """What has been written to standard error so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    return Stderr(capsys)


def configure(**settings: Any) -> None:
    logs.configure(LogSettings(**settings), role="worker")


def lines(stream: Stderr) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_carries_what_was_bound_in_a_fixed_order(stderr: Stderr) -> None:
    logs.configure(LogSettings(log_format=LogFormat.JSON), role="worker", process=2)
    log = logs.get_logger("headrace.lane", lane="shop.default.high", partition=3)
    log.info("job done", offset=7, attempt=1, job="018f", seconds=0.5)
    (line,) = lines(stderr)
    stamp = datetime.fromisoformat(line.pop("timestamp"))
    assert stamp.tzinfo == UTC
    assert list(line.items()) == [
        ("level", "info"),
        ("event", "job done"),
        ("logger", "headrace.lane"),
        ("role", "worker"),
        ("job", "018f"),
        ("attempt", 1),
        ("lane", "shop.default.high"),
        ("partition", 3),
        ("offset", 7),
        ("seconds", 0.5),
        ("process", 2),
    ]


def test_the_standard_librarys_lines_look_like_ours(stderr: Stderr) -> None:
    configure(log_format="json")
    with structlog.contextvars.bound_contextvars(job="018f"):
        logging.getLogger("headrace.kafka").warning("%s is down", "broker 1", extra={"broker": 1})
    (line,) = lines(stderr)
    assert line["event"] == "broker 1 is down"
    assert (line["level"], line["logger"], line["role"]) == ("warning", "headrace.kafka", "worker")
    assert (line["job"], line["broker"]) == ("018f", 1)


def test_a_traceback_stays_on_the_one_json_line(stderr: Stderr) -> None:
    configure(log_format="json")
    for log in (logs.get_logger("a"), logging.getLogger("b")):
        try:
            raise RuntimeError("it broke")
        except RuntimeError:
            log.exception("failed")
    for line in lines(stderr):
        assert line["level"] == "error"
        assert "RuntimeError: it broke" in line["exception"]
        assert "test_logs.py" in line["exception"]


@pytest.mark.parametrize(
    "value", [b"\xff", {1, 2}, object(), Path("/x"), "\ud800", {"a": [1, {b"k": 2}]}, "line\nbreak"]
)
def test_any_value_makes_a_json_line(value: object, stderr: Stderr) -> None:
    configure(log_format="json")
    logs.get_logger("a").info("odd", value=value)
    assert [line["event"] for line in lines(stderr)] == ["odd"]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_secrets_are_masked_wherever_they_stand(log_format: str, stderr: Stderr) -> None:
    configure(log_format=log_format)
    log = logs.get_logger("a", sasl_password=SECRET)
    log.info("one", token=SECRET, config={"sasl.password": SECRET, "list": [{"secret": SECRET}]})
    unreachable = f"cannot reach http://user:{SECRET}@registry"
    log.info(unreachable, api_key=SECRET)
    logging.getLogger("b").info("two", extra={"Authorization": f"Bearer {SECRET}"})
    try:
        raise ValueError(f"bad url http://user:{SECRET}@registry")
    except ValueError:
        log.exception("three")
    assert SECRET not in stderr.getvalue()
    masked = ("sasl_password", "token", "sasl.password", "secret", "api_key", "Authorization")
    quoted = re.sub(r"['\"]", "", stderr.getvalue()).replace(": ", "=")
    assert [name for name in masked if f"{name}=***" not in quoted] == []
    assert "cannot reach http://user:***@registry" in stderr.getvalue()


def test_what_only_sounds_like_a_secret_is_kept(stderr: Stderr) -> None:
    configure(log_format="json")
    logs.get_logger("a").info("x", key="customer-42", tokens=12, password=None, url="http://a/b@c")
    (line,) = lines(stderr)
    assert (line["key"], line["tokens"], line["password"]) == ("customer-42", 12, None)
    assert line["url"] == "http://a/b@c"


@pytest.mark.parametrize(
    ("level", "kept"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_lines_below_the_level_are_left_out(level: str, kept: int, stderr: Stderr) -> None:
    configure(log_format="json", log_level=level)
    for log in (logs.get_logger("a"), logging.getLogger("b")):
        log.debug("d")
        log.info("i")
        log.warning("w")
        log.error("e")
    assert len(lines(stderr)) == 2 * kept


def test_text_is_one_readable_line_without_colours_off_a_terminal(stderr: Stderr) -> None:
    configure(log_format="text")
    logs.get_logger("a", lane="shop.default.high").warning("held back", note="two words", n=3)
    (line,) = stderr.getvalue().splitlines()
    assert line.split(maxsplit=1)[1] == (
        "warning  held back logger=a role=worker lane=shop.default.high note='two words' n=3"
    )
    assert "\x1b" not in line


def test_text_is_coloured_on_a_terminal(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure(log_format="text")
    logs.get_logger("a").error("x")
    assert "\x1b[31merror" in stderr.getvalue()


def test_what_a_job_brought_cannot_fake_a_line_of_text(stderr: Stderr) -> None:
    configure(log_format="text")
    logs.get_logger("a").info("one\n2026 error two\x1b[2J", key="x\ny", word="a\x1bb")
    assert len(stderr.getvalue().splitlines()) == 1
    assert "\x1b" not in stderr.getvalue()


def test_a_traceback_follows_its_line_of_text(stderr: Stderr) -> None:
    configure(log_format="text")
    try:
        raise RuntimeError("it broke")
    except RuntimeError:
        logs.get_logger("a").exception("failed")
    text = stderr.getvalue().splitlines()
    assert "error    failed logger=a" in text[0]
    assert text[-1] == "RuntimeError: it broke"


def test_configuring_again_replaces_our_handlers_and_leaves_others(stderr: Stderr) -> None:
    root = logging.getLogger()
    other = logging.NullHandler()
    root.addHandler(other)
    configure(log_format="json", log_level="debug")
    configure(log_format="json")
    logs.get_logger("a").info("once")
    logs.get_logger("a").debug("never")
    assert other in root.handlers
    assert [line["event"] for line in lines(stderr)] == ["once"]


def test_the_file_is_rotated_by_size_and_keeps_its_backups(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "{role}.log"
    configure(
        log_format="json",
        log_console_enabled=False,
        log_file_enabled=True,
        log_file_path=path,
        log_file_max_size_mb=1,
        log_file_max_backups=2,
    )
    log = logs.get_logger("a")
    for number in range(45):
        log.info("x", number=number, filling="é" * 20_000)
    files = sorted(one.name for one in (tmp_path / "logs").iterdir())
    assert files == ["worker.log", "worker.log.1", "worker.log.2"]
    kept = [
        json.loads(line)["number"]
        for name in reversed(files)
        for line in (tmp_path / "logs" / name).read_text().splitlines()
    ]
    assert kept == [*range(kept[0], 45)]
    assert all((tmp_path / "logs" / name).stat().st_size <= 1_000_000 for name in files)


def test_without_backups_a_full_file_is_started_afresh(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    configure(
        log_console_enabled=False,
        log_file_enabled=True,
        log_file_path=path,
        log_file_max_size_mb=1,
        log_file_max_backups=0,
    )
    for _ in range(25):
        logs.get_logger("a").info("x" * 100_000)
    assert [one.name for one in tmp_path.iterdir()] == ["a.log"]
    assert 0 < path.stat().st_size <= 1_000_000


def test_both_places_get_each_line(tmp_path: Path, stderr: Stderr) -> None:
    configure(log_format="json", log_file_enabled=True, log_file_path=tmp_path / "a.log")
    logs.get_logger("a").info("x", n=1)
    assert (tmp_path / "a.log").read_text() == stderr.getvalue() != ""


def test_a_file_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.log"
    with pytest.raises(SettingsError) as caught:
        configure(log_file_enabled=True, log_file_path=path)
    assert str(caught.value).startswith(f"HEADRACE_LOG_FILE_PATH={path}: ")
    assert "HEADRACE_LOG_FILE_ENABLED=false" in str(caught.value)


def test_a_folder_is_refused_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Is a directory.*choose a path"):
        configure(log_file_enabled=True, log_file_path=tmp_path)


def test_a_file_that_another_process_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match=r"another process writes to .*a path of its own"):
            configure(log_file_enabled=True, log_file_path=path)
    configure(log_file_enabled=True, log_file_path=path)
    configure(log_file_enabled=True, log_file_path=path)


def test_without_any_place_it_is_said_once_and_then_there_is_silence(stderr: Stderr) -> None:
    configure(log_format="json", log_console_enabled=False)
    (line,) = lines(stderr)
    assert "HEADRACE_LOG_CONSOLE_ENABLED and HEADRACE_LOG_FILE_ENABLED" in line["event"]
    logs.get_logger("a").error("x")
    logging.getLogger("b").error("x")
    assert len(lines(stderr)) == 1
