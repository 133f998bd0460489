"""Unsigned LEB128 varints: seven bits a byte, the lowest first, the high bit says "more follows"."""

MAX_VARINT = 2**64 - 1


class VarintError(ValueError):
    """A varint is cut off, too large for 64 bits, or longer than it need be."""


def append_varint(out: bytearray, value: int) -> None:
    """Append a value from 0 to `MAX_VARINT`.

    Raises:
        VarintError: The value is outside that range.
    """
    if not 0 <= value <= MAX_VARINT:
        raise VarintError(f"{value} is not between 0 and {MAX_VARINT}")
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read one value; returns it and the position behind it.

    Raises:
        VarintError: The bytes at this position are not what `append_varint` writes.
    """
    value = 0
    for index in range(at, min(at + 10, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << (7 * (index - at))
        if byte < 0x80:
            if (byte == 0 and index > at) or value > MAX_VARINT:
                raise VarintError(f"the varint at byte {at} is too long or above {MAX_VARINT}")
            return value, index + 1
    raise VarintError(f"the varint at byte {at} is cut off or too long")
