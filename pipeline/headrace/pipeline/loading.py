"""Finding the pipeline that `module:attribute` names, as uvicorn and Celery do."""

import importlib
import sys
from pathlib import Path

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
    _search_in(directory or Path.cwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise LoadError(
                f"{reference!r}: there is no module {error.name!r} in {Path.cwd()} or on the "
                "Python path; run the command where the module's top folder is"
            ) from error
        raise LoadError(f"{reference!r}: importing {module_name} failed: {error}") from error
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Pipeline):
        return found
    candidates = [name for name, value in vars(module).items() if isinstance(value, Pipeline)]
    hint = f"; it has: {', '.join(candidates)}" if candidates else ""
    got = "is missing" if found is None else f"is a {type(found).__name__}"
    raise LoadError(f"{reference!r}: {attribute} {got}, not a Pipeline{hint}")


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
