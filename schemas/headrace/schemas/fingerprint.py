"""The name by which a framed record tells its schema: CRC-64-AVRO, 8 bytes.

Avro specification 1.12, "Schema Fingerprints" and "Single-object encoding specification": the
fingerprint is taken of the parsing canonical form, which leaves out logical types, defaults,
aliases and documentation. So schemas that differ only there share one; see `refuse_collision`.
"""

import json

from fastavro.schema import fingerprint as checksum
from fastavro.schema import to_parsing_canonical_form

from headrace.schemas import errors
from headrace.schemas.avro_types.node import AvroSchema

SIZE = 8
_ALGORITHM = "CRC-64-AVRO"


def schema_text(schema: AvroSchema) -> str:
    """One schema as compact JSON, ASCII only: what is committed, published and compared."""
    return json.dumps(schema, separators=(",", ":"))


def fingerprint(schema: AvroSchema) -> bytes:
    """The 8 bytes that stand in a single-object header, in the header's (little-endian) order."""
    return bytes.fromhex(str(checksum(to_parsing_canonical_form(schema), _ALGORITHM)))


def refuse_collision(subject: str, mark: bytes, published_text: str, declared_text: str) -> None:
    """Refuse to publish a second, different text under one fingerprint.

    Raises:
        FingerprintCollisionError: the texts differ in more than white space and member order.
    """
    if json.loads(published_text) != json.loads(declared_text):
        raise errors.FingerprintCollisionError(subject, mark, published_text, declared_text)
