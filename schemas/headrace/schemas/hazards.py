"""Schemas that let a few bytes harm their reader, refused before the first byte is read.

* A schema that contains itself is read by recursion in C: a payload of 100 kB that nests deep
  enough overflows the stack, and the process is gone.
* An array of items that take no bytes (null, a record without fields) can announce 2^62 items
  in nine bytes, and the reader builds them all.
"""

from typing import Any

from headrace.schemas.avro_types.node import AvroSchema
from headrace.schemas.errors import SchemaError

_REMEDY = "give the items a field that takes space, or send their number"


def refuse(schema: AvroSchema) -> None:
    """Refuse a schema that is recursive, or has an array of items that take no bytes.

    Raises:
        SchemaError: naming the type at fault.
    """
    _Walk().least_size(schema)


def takes_no_bytes(schema: AvroSchema) -> bool:
    """Whether a datum of this schema may be encoded in zero bytes."""
    return _Walk().least_size(schema) == 0


class _Walk:
    """Computes the least encoded size of every type it meets, and looks for the hazards."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {"null": 0, "float": 4, "double": 8}
        self._open: list[str] = []

    def least_size(self, schema: Any, namespace: str = "") -> int:
        """In bytes."""
        if isinstance(schema, list):
            return 1 + min((self.least_size(branch, namespace) for branch in schema), default=0)
        if isinstance(schema, str):
            return self._named(schema, namespace)
        return self._of_parts(schema, namespace)

    def _of_parts(self, schema: dict[str, Any], namespace: str) -> int:
        kind = schema["type"]
        if kind in ("record", "error"):
            return self._record(schema, namespace)
        if kind == "array":
            return self._array(schema, namespace)
        if kind == "map":
            self.least_size(schema["values"], namespace)
            return 1
        if kind in ("enum", "fixed"):
            return self._sizes.setdefault(_full_name(schema, namespace), int(schema.get("size", 1)))
        return self.least_size(kind, namespace)

    def _named(self, name: str, namespace: str) -> int:
        candidates = (name, f"{namespace}.{name}")
        for candidate in candidates:
            if candidate in self._open:
                raise SchemaError(
                    "schema",
                    candidate,
                    "the type contains itself, and deep data of such a type would overflow the "
                    "stack of whoever reads it",
                    "send a flat list whose items name their parent",
                )
        return next((self._sizes[each] for each in candidates if each in self._sizes), 1)

    def _record(self, schema: dict[str, Any], namespace: str) -> int:
        name = _full_name(schema, namespace)
        inner = name.rpartition(".")[0]
        self._open.append(name)
        size = sum(self.least_size(field["type"], inner) for field in schema["fields"])
        self._open.pop()
        self._sizes[name] = size
        return size

    def _array(self, schema: dict[str, Any], namespace: str) -> int:
        if self.least_size(schema["items"], namespace) == 0:
            raise SchemaError(
                "schema",
                None,
                "an array's items take no bytes, so its length is unbounded",
                _REMEDY,
            )
        return 1


def _full_name(schema: dict[str, Any], namespace: str) -> str:
    name = str(schema["name"])
    space = schema.get("namespace", namespace)
    return name if "." in name or not space else f"{space}.{name}"
