"""Finding the pipeline that `module:attribute` names, as uvicorn and Celery do."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from headrace.pipeline.errors import LoadError
from headrace.pipeline.pipeline import Pipeline


def load_pipeline(reference: str, directory: Path | None = None) -> Pipeline:
    """Import the pipeline.

    Args:
        reference: `package.module:attribute`; the attribute may be dotted.
        directory: Where modules are looked for first; the working directory when not given.

    Raises:
        LoadError: The text has no colon, the module cannot be imported, or the attribute is
            missing or no pipeline.
    """
    module_name, colon, attribute = reference.partition(":")
    if not (colon and module_name and attribute):
        raise LoadError(
            f"{reference!r} does not name a pipeline: write module:attribute, such as shop.jobs:shop"
        )
    directory = directory or Path.cwd()
    _search_in(directory)
    module = _import(reference, module_name, directory)
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Pipeline):
        return found
    candidates = [name for name, value in vars(module).items() if isinstance(value, Pipeline)]
    hint = f"; it has: {', '.join(candidates)}" if candidates else ""
    got = "is missing" if found is None else f"is a {type(found).__name__}"
    raise LoadError(f"{reference!r}: {attribute} {got}, not a Pipeline{hint}")


def _import(reference: str, module_name: str, directory: Path) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise LoadError(
                f"{reference!r}: there is no module {error.name!r} in {directory} or on the "
                "Python path; run the command where the module's top folder is"
            ) from error
        raise _import_failed(reference, module_name, error) from error
    except Exception as error:
        raise _import_failed(reference, module_name, error) from error


def _import_failed(reference: str, module_name: str, error: Exception) -> LoadError:
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{each.filename}:{each.lineno}" for each in frames if each.filename[0] != "<"]
    place = "" if isinstance(error, SyntaxError) else f" ({places[-1]})"
    return LoadError(
        f"{reference!r}: importing {module_name} failed: {type(error).__name__}: {error}{place}"
    )


def reference_of(pipeline: Pipeline) -> str:
    """Find the `module:attribute` of a pipeline that is already imported, for child processes.

    Raises:
        LoadError: It is no attribute of an importable module.
    """
    for module_name, module in list(sys.modules.items()):
        if module_name == "__main__":
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is pipeline:
                return f"{module_name}:{attribute}"
    raise LoadError(
        f"pipeline {pipeline.name!r} is no attribute of an importable module, so child processes "
        "cannot find it; move it into a module of its own"
    )


def _search_in(directory: Path) -> None:
    path = str(directory.resolve())
    if path not in sys.path:
        sys.path.insert(0, path)
