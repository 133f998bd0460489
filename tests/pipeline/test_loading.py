"""Finding the pipeline that `module:attribute` names, and the reference of one in hand."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.pipeline import LoadError, Pipeline
from headrace.pipeline.loading import load_pipeline, reference_of

JOBS = """
from headrace.pipeline import Pipeline
shop = Pipeline("shop")
class Holder:
    inner = Pipeline("inner")
number = 3
"""


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique_name: str
) -> Iterator[tuple[Path, str]]:
    """A folder with a package, whose name no other test has, and what it was given to hold."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    package = tmp_path / unique_name
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "jobs.py").write_text(JOBS)
    yield tmp_path, unique_name
    for name in [name for name in sys.modules if name.split(".")[0] == unique_name]:
        del sys.modules[name]


def test_a_pipeline_is_found_by_module_and_attribute(project: tuple[Path, str]) -> None:
    directory, package = project
    assert load_pipeline(f"{package}.jobs:shop", directory).name == "shop"


def test_the_attribute_may_be_dotted(project: tuple[Path, str]) -> None:
    directory, package = project
    assert load_pipeline(f"{package}.jobs:Holder.inner", directory).name == "inner"


def test_modules_are_looked_for_in_the_working_directory(
    project: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, package = project
    monkeypatch.chdir(directory)
    assert load_pipeline(f"{package}.jobs:shop").name == "shop"


@pytest.mark.parametrize("text", ["", "shop", "shop:", ":shop", ":"])
def test_a_text_that_names_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(LoadError, match=r"write module:attribute, such as shop\.jobs:shop"):
        load_pipeline(text)


def test_a_missing_module_is_told_with_the_folder_that_was_searched(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=rf"no module 'missing_shop' in {tmp_path}"):
        load_pipeline("missing_shop.jobs:shop", tmp_path)


@pytest.mark.parametrize("name", [".jobs", "shop..jobs", "no such/module"])
def test_a_module_name_that_python_refuses_is_a_load_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="shop"):
        load_pipeline(f"{name}:shop", tmp_path)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import missing_dependency", "No module named 'missing_dependency'"),
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("from headrace.pipeline import Pipeline\nPipeline('A B')", "DeclarationError"),
    ],
)
def test_a_module_that_fails_to_import_is_told_with_cause_and_place(
    project: tuple[Path, str], source: str, why: str
) -> None:
    directory, package = project
    (directory / package / "broken.py").write_text(source)
    with pytest.raises(
        LoadError, match=rf"importing {package}.broken failed: .*{why}.*\.py(:\d+|, line 1)"
    ):
        load_pipeline(f"{package}.broken:shop", directory)


def test_a_dependency_whose_name_begins_the_modules_name_is_not_taken_for_it(
    project: tuple[Path, str],
) -> None:
    directory, package = project
    shorter = package[:-1]
    (directory / package / "broken.py").write_text(f"import {shorter}")
    with pytest.raises(LoadError, match=r"importing .* failed"):
        load_pipeline(f"{package}.broken:shop", directory)


@pytest.mark.parametrize(
    ("attribute", "why"),
    [("shopp", "shopp is missing"), ("number", "number is a int"), ("Holder.none", "missing")],
)
def test_an_attribute_that_is_no_pipeline_is_refused_with_those_that_are(
    project: tuple[Path, str], attribute: str, why: str
) -> None:
    directory, package = project
    with pytest.raises(LoadError, match=rf"{why}.*it has: shop"):
        load_pipeline(f"{package}.jobs:{attribute}", directory)


def test_the_reference_of_a_loaded_pipeline_loads_it_again(project: tuple[Path, str]) -> None:
    directory, package = project
    shop = load_pipeline(f"{package}.jobs:shop", directory)
    assert load_pipeline(reference_of(shop), directory) is shop


def test_a_pipeline_that_no_module_holds_has_no_reference() -> None:
    with pytest.raises(LoadError, match="move it into a module of its own"):
        reference_of(Pipeline("local"))
