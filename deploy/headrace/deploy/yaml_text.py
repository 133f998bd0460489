"""YAML for people: keys in the order given, lists indented, a blank line between large parts."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.deploy.errors import YamlMissingError

_WIDTH = 100


def to_yaml(
    content: Mapping[str, Any], *, spaced: Sequence[str] = (), compact: bool = False
) -> str:
    """Write a mapping of plain values as a YAML document.

    Args:
        content: Mappings, sequences, texts, numbers and truth values.
        spaced: Keys whose own entries are set apart by blank lines too.
        compact: Whether no blank lines set the keys apart.

    Raises:
        YamlMissingError: PyYAML is not installed.
    """
    parts: list[str] = []
    for key, value in content.items():
        if key not in spaced:
            parts.append(_dump({key: value}))
            continue
        entries = [_dump({key: {name: entry}}) for name, entry in value.items()]
        head = f"{key}:\n"
        parts.append(head + "\n".join(entry.removeprefix(head) for entry in entries))
    return ("" if compact else "\n").join(parts)


def to_yaml_list(content: Sequence[Any]) -> str:
    """Write a list of plain values as a YAML document.

    Raises:
        YamlMissingError: PyYAML is not installed.
    """
    return _dump(content)


def _dump(content: Any) -> str:
    try:
        import yaml  # noqa: PLC0415
    except ImportError as error:
        raise YamlMissingError(
            f"rendering a deployment needs PyYAML ({error}); run: pip install 'headrace[deploy]'"
        ) from error

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            """Indent lists below their key, where YAML would allow them flush with it."""
            del indentless
            super().increase_indent(flow, indentless=False)

        def ignore_aliases(self, data: object) -> bool:
            """Write shared parts out: anchors named id001 help nobody."""
            return True

        def represent_str(self, data: str) -> Any:
            """Write a text of several lines as it stands."""
            style = "|" if "\n" in data else None
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Dumper.add_representer(str, Dumper.represent_str)

    return yaml.dump(content, Dumper=Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)
