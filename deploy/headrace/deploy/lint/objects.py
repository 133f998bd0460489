"""The objects in YAML files, whoever wrote them: nothing about their shape is certain."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.deploy.errors import DeployError, YamlMissingError

_SUFFIXES = ("*.yaml", "*.yml")


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """One object.

    Attributes:
        file: Where it is.
        kind: Its kind.
        name: Its name; empty when it has none.
        content: All of it.
    """

    file: str
    kind: str
    name: str
    content: dict[str, Any]

    @property
    def thing(self) -> str:
        """The object as people name it: `Deployment/shop`."""
        return f"{self.kind}/{self.name}"

    @property
    def spec(self) -> dict[str, Any]:
        """Its spec; empty when it has none."""
        return mapping(self.content.get("spec"))

    @property
    def place(self) -> tuple[str, str]:
        """Its namespace, empty when it names none, and its name."""
        return str(mapping(self.content.get("metadata")).get("namespace") or ""), self.name

    @property
    def annotations(self) -> dict[str, Any]:
        """Its annotations."""
        return mapping(mapping(self.content.get("metadata")).get("annotations"))


class NotAManifestError(DeployError):
    """A file holds no manifests; the message says what it holds instead."""


def mapping(value: object) -> dict[str, Any]:
    """Give a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Give a list as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def files_of(places: list[Path]) -> Iterator[Path]:
    """Give the files, and those that end in .yaml or .yml below the folders.

    Raises:
        DeployError: There is no such file, or a folder holds none.
    """
    for place in places:
        if not place.is_dir():
            yield place
            continue
        found = sorted(file for suffix in _SUFFIXES for file in place.rglob(suffix))
        if not found:
            raise DeployError(
                f"{place} holds no .yaml or .yml file: name the folder of the rendered manifests"
            )
        yield from found


def read_objects(file: Path) -> list[KubernetesObject]:
    """Read every object of a file; those in a List count one by one.

    Raises:
        DeployError: The file cannot be read.
        NotAManifestError: It is no YAML, or holds something that is no Kubernetes object.
        YamlMissingError: PyYAML is not installed.
    """
    found: list[KubernetesObject] = []
    for number, document in enumerate(_documents(file), 1):
        if document is not None:
            found += _objects(file, number, document)
    if not found:
        raise NotAManifestError(f"{file} is empty: it holds no manifest")
    return found


def _documents(file: Path) -> list[Any]:
    try:
        import yaml  # noqa: PLC0415 - needs the extra
    except ImportError as error:
        raise YamlMissingError(
            f"reading manifests needs PyYAML ({error}); run: pip install 'headrace[deploy]'"
        ) from error
    try:
        return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise DeployError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        hint = "; render a Helm chart with `helm template` first" if _is_template(file) else ""
        raise NotAManifestError(f"{file} is not YAML: {reason}{hint}") from error


def _is_template(file: Path) -> bool:
    return b"{{" in file.read_bytes()


def _objects(file: Path, number: int, document: object) -> Iterator[KubernetesObject]:
    content = mapping(document)
    if not (isinstance(content.get("apiVersion"), str) and isinstance(content.get("kind"), str)):
        held = f"a {type(document).__name__}" if not content else "no apiVersion and kind"
        raise NotAManifestError(
            f"{file}, document {number}, is no Kubernetes object: it has {held}"
            f"{_guess(content)}; give manifests, such as `headrace deploy render` or "
            "`kubectl kustomize` write"
        )
    if content["kind"].endswith("List") and isinstance(content.get("items"), list):
        for item in content["items"]:
            yield from _objects(file, number, item)
        return
    name = mapping(content.get("metadata")).get("name")
    yield KubernetesObject(str(file), content["kind"], str(name or ""), content)


def _guess(content: dict[str, Any]) -> str:
    if "services" in content:
        return " (a Compose file?)"
    if "groups" in content:
        return " (a file of Prometheus rules?)"
    return ""
