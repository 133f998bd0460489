"""Pictures in the PPM format (P6, 8 bits a colour), made smaller in plain Python: real work.

The format: https://netpbm.sourceforge.net/doc/ppm.html
"""

import re
from dataclasses import dataclass
from pathlib import Path

_CHANNELS = 3
_HEAD = re.compile(rb"P6\s+([0-9]+)\s+([0-9]+)\s+255\s")


@dataclass(frozen=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """Rows of red, green and blue bytes, one after the other."""

    size: Size
    pixels: bytes


class PictureError(ValueError):
    """A file is no picture that can be read here."""


def thumbnail(path: str, width: int) -> Size:
    """Write `NAME.thumb.ppm` beside a picture, at most `width` wide, its proportions kept.

    Writing is idempotent: a second attempt replaces the file of the first.

    Raises:
        PictureError: The file is no 8-bit P6 picture, or the width is not positive.
        OSError: A file cannot be read or written.
    """
    if width < 1:
        raise PictureError(f"width={width}: must be 1 or more")
    small = shrink(read(Path(path)), width)
    write(Path(path).with_suffix(".thumb.ppm"), small)
    return small.size


def read(path: Path) -> Picture:
    """Read a picture; comments in its header are not supported."""
    content = path.read_bytes()
    head = _HEAD.match(content)
    if head is None:
        raise PictureError(f"{path} is no 8-bit P6 picture without comments")
    size = Size(int(head[1]), int(head[2]))
    pixels = content[head.end() :]
    wanted = size.width * size.height * _CHANNELS
    if not wanted or len(pixels) != wanted:
        raise PictureError(
            f"{path} is {size.width} x {size.height} pixels, so {wanted} bytes of them, and holds "
            f"{len(pixels)}"
        )
    return Picture(size, pixels)


def write(path: Path, picture: Picture) -> None:
    """Write a picture."""
    head = f"P6\n{picture.size.width} {picture.size.height}\n255\n".encode()
    path.write_bytes(head + picture.pixels)


def shrink(picture: Picture, width: int) -> Picture:
    """Average the pixels that fall together; one that is narrow enough stays as it is."""
    old = picture.size
    if width >= old.width:
        return picture
    new = Size(width, max(1, old.height * width // old.width))
    colours = bytearray()
    for y in range(new.height):
        for x in range(new.width):
            colours += _average(
                picture, _span(x, new.width, old.width), _span(y, new.height, old.height)
            )
    return Picture(new, bytes(colours))


def _span(position: int, new: int, old: int) -> range:
    """Which old positions fall on a new one."""
    return range(position * old // new, (position + 1) * old // new)


def _average(picture: Picture, columns: range, rows: range) -> bytes:
    sums = [0] * _CHANNELS
    for row in rows:
        for column in columns:
            at = (row * picture.size.width + column) * _CHANNELS
            for channel in range(_CHANNELS):
                sums[channel] += picture.pixels[at + channel]
    count = len(columns) * len(rows)
    return bytes(total // count for total in sums)
