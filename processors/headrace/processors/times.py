"""Times as JSON has them."""

from headrace.schemas.headers import format_time


def both_times(name: str, milliseconds: int | None) -> dict[str, object]:
    """A time under two keys: `<name>_ms` (epoch milliseconds) and `<name>` (RFC 3339)."""
    text = None if milliseconds is None else format_time(milliseconds)
    return {f"{name}_ms": milliseconds, name: text}
