"""A folder of rendered files: as texts, written, or held against what is there."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.deploy.errors import DeployError
from headrace.deploy.yaml_text import to_yaml

Documents = Mapping[str, Sequence[Mapping[str, Any]]]
"""Files by their path, each with its YAML documents."""


def texts(files: Documents, head: str) -> dict[str, str]:
    """Write each file's documents as YAML.

    Args:
        files: What to write.
        head: A comment at the top of each.

    Raises:
        YamlMissingError: PyYAML is not installed.
    """
    return {
        name: head + "---\n".join(to_yaml(document, compact=True) for document in documents)
        for name, documents in sorted(files.items())
    }


def as_stream(files: Mapping[str, str]) -> str:
    """Give all files as one stream of documents, each after a line with its name."""
    return "".join(f"---\n# {name}\n{text}" for name, text in files.items())


def write(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write the files; a YAML file in the folder that is none of them is deleted.

    Returns:
        What was deleted.

    Raises:
        DeployError: A file cannot be written.
    """
    try:
        for name, text in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        left = sorted(_others(folder, files))
        for name in left:
            (folder / name).unlink()
    except OSError as error:
        raise DeployError(
            f"{error.filename} cannot be written: {error.strerror}; choose another folder with "
            "--output"
        ) from error
    return left


def differences(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Give the lines that tell how a folder differs from the files; none when it does not."""
    for name, text in files.items():
        file = folder / name
        found = file.read_text(encoding="utf-8") if file.is_file() else ""
        yield from difflib.unified_diff(
            found.splitlines(), text.splitlines(), str(file), "rendered", n=2, lineterm=""
        )
    for name in sorted(_others(folder, files)):
        yield f"{folder / name} is not rendered any more"


def _others(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """YAML below the folder that is none of the files, and says that it was rendered."""
    for file in folder.rglob("*.yaml"):
        name = file.relative_to(folder).as_posix()
        if name not in files and file.read_text(encoding="utf-8").startswith(RENDERED):
            yield name


RENDERED = "# Rendered by `headrace deploy render"
"""How each rendered file begins: what begins otherwise is a person's, and is left alone."""
