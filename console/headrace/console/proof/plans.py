"""What one job of a proof does: written into the job itself, so that everybody reads the same."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

ALWAYS: Final = 1_000
"""As `failures`: more attempts than any policy allows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a handler does.

    Attributes:
        sleep: Milliseconds that it takes.
        failures: So many attempts fail; `ALWAYS` for all.
        snooze_until: Epoch milliseconds before which it asks to come back; 0 for never.
        result: Bytes of its result.
        pad: Bytes that it carries as an argument.
    """

    sleep: int = 0
    failures: int = 0
    snooze_until: int = 0
    result: int = 0
    pad: int = 0

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.sleep / 1000

    def text(self) -> str:
        """Write it as JSON; what is zero is left out."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @classmethod
    def from_text(cls, text: str) -> "Plan":
        """Read it.

        Raises:
            TypeError: Another release wrote it.
        """
        found: dict[str, Any] = json.loads(text)
        return cls(**found)
