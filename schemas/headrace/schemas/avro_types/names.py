"""Names of Avro types and fields, each given to one Python type only."""

import re
from typing import Any

from headrace.schemas.avro_types.node import Refusal

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OTHER = re.compile(r"[^A-Za-z0-9_]+")


class Names:
    """The named types of one schema: which name belongs to which class, and which are open.

    Lives as long as one schema is being derived.
    """

    def __init__(self, root: str) -> None:
        self.root = avro_name(root)
        self._owners: dict[str, object] = {self.root: self}
        self._open: list[object] = []

    def claim(self, name: str, owner: object, path: str) -> str:
        """Give `name` to the class `owner`.

        Raises:
            Refusal: not an Avro name, or another class has it already.
        """
        require_avro_name(name, path, "class")
        if self._owners.setdefault(name, owner) is not owner:
            raise Refusal(
                path, f"two different types of one schema are called {name}", "rename one of them"
            )
        return name

    def of_tuple(self, path: str) -> str:
        """A name for the record that carries the fixed tuple found at `path`."""
        name = avro_name(f"{self.root}_{path}_tuple")
        while name in self._owners:
            name += "_"
        self._owners[name] = object()
        return name

    def enter(self, owner: object, path: str) -> None:
        """Note that the parts of `owner` are being looked at.

        Raises:
            Refusal: they are already: the type contains itself.
        """
        if owner in self._open:
            raise Refusal(
                path,
                f"{spoken(owner)} contains itself, and deep data of such a type would overflow "
                "the stack of whoever reads it",
                "send a flat list whose items name their parent",
            )
        self._open.append(owner)

    def leave(self) -> None:
        """The parts of the type entered last are known."""
        self._open.pop()


def avro_name(text: str) -> str:
    """The nearest Avro name: ``email.send`` becomes ``email_send``."""
    name = _OTHER.sub("_", text)
    return name if _NAME.fullmatch(name) else f"_{name}"


def require_avro_name(name: str, path: str, what: str) -> None:
    """Refuse a name that Avro cannot hold."""
    if not _NAME.fullmatch(name):
        raise Refusal(
            path,
            f"the {what} name {name!r} is not an Avro name",
            "use ASCII letters, digits and _ only, not beginning with a digit",
        )


def spoken(annotation: Any) -> str:
    """An annotation as an engineer would write it."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
