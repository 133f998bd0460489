"""What the codec knows of one type: its schema, the way to Avro, and the way back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

AvroSchema = str | list[Any] | dict[str, Any]
Convert = Callable[[Any], Any]


class Refusal(Exception):  # noqa: N818 - becomes a SchemaError once the job type is known
    """This type cannot travel.

    Attributes:
        path: the parameter, with the way to the type inside it.
    """

    def __init__(self, path: str, reason: str, remedy: str) -> None:
        super().__init__(path, reason, remedy)
        self.path = path
        self.reason = reason
        self.remedy = remedy


class Mismatch(Exception):  # noqa: N818 - becomes an ArgumentError or an UndecodableError
    """This value is not of the declared type.

    Attributes:
        path: field names from the outermost to the one at fault.
    """

    def __init__(self, reason: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def inside(self, name: str) -> "Mismatch":
        """The same problem, seen from the record that holds the field `name`."""
        return Mismatch(self.reason, (name, *self.path))


@dataclass(frozen=True, slots=True)
class Node:
    """One type on its way to Avro and back.

    Attributes:
        schema: the Avro schema, every named type spelled out in full.
        annotation: the type that pydantic validates into; narrower than the user's where Avro is
            (64-bit integers, aware datetimes).
        python: the exact classes of its values, for telling members of a union apart.
        native: the class in which the Avro reader hands its values over.
        branch: the name of its branch in a union: the Avro type, or the named type's name.
        encode: checks one Python value and gives what the Avro writer takes.
            Raises `Mismatch`.
        decode: gives the Python value of what the Avro reader found. Raises `Mismatch`.
        members: those of a union, as long as no constraint holds for it as a whole.
        plain: a value that pydantic has validated needs neither `encode` nor `decode`.
    """

    schema: AvroSchema
    annotation: Any
    python: tuple[type, ...]
    native: type
    branch: str
    encode: Convert
    decode: Convert
    plain: bool = False
    members: tuple["Node", ...] = ()


Build = Callable[[Any, str], Node]
