"""Claims: what a record says of data that is stored elsewhere because it is too large for Kafka.

Written as `v1;length=1234;sha256=<64 hex digits>;key=<key>`. The key is relative to
HEADRACE_CLAIMS_URL, so the store can move, and no record can point out of it.
"""

import hashlib
import re
from typing import Final, NamedTuple, Self

from headrace.schemas.errors import HeadraceError

_SEGMENT: Final = r"[0-9A-Za-z][0-9A-Za-z._-]*"
_KEY: Final = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
"""No segment begins with a dot, and none is empty: no way leads upwards, or to another root."""
_WRITTEN: Final = re.compile(r"v1;length=(\d{1,15});sha256=([0-9a-f]{64});key=([^;]{1,500})")


class ClaimLostError(HeadraceError):
    """What a claim stands for is not there, not what was stored, or the claim itself is no claim."""


class Claim(NamedTuple):
    """A reference to stored bytes.

    Attributes:
        key: Where, below the store's URL.
        length: Bytes.
        sha256: Their SHA-256 in hex.
    """

    key: str
    length: int
    sha256: str

    @classmethod
    def of(cls, key: str, data: bytes) -> Self:
        """Make the claim of some bytes."""
        return cls(key, len(data), hashlib.sha256(data).hexdigest())

    @classmethod
    def read(cls, text: str) -> Self:
        """Understand what `str` wrote.

        Raises:
            ClaimLostError: It is no claim of this form, or its key would lead out of the store.
        """
        found = _WRITTEN.fullmatch(text)
        if found is None or not _KEY.fullmatch(found[3]):
            raise ClaimLostError(
                f"{text[:200]!r} is no claim (v1;length=…;sha256=…;key=…, the key relative and "
                "without ..): correct who wrote it, and submit the job again"
            )
        return cls(found[3], int(found[1]), found[2])

    def check(self, data: bytes) -> None:
        """Make sure that bytes are those that were stored.

        Raises:
            ClaimLostError: They are not.
        """
        if len(data) != self.length or hashlib.sha256(data).hexdigest() != self.sha256:
            raise ClaimLostError(
                f"what lies at {self.key} was altered: {len(data):,} bytes that are not the "
                f"{self.length:,} that were stored; restore it, then replay the job, or submit it again"
            )

    def __str__(self) -> str:
        return f"v1;length={self.length};sha256={self.sha256};key={self.key}"
