"""`python -m examples.incident`: exit code 0 when every job is accounted for, else 1."""

import json
import sys

from examples.incident.options import parse
from examples.incident.story import tell
from examples.source_audit.display import Display
from headrace.schemas.errors import HeadraceError


def main() -> int:
    """Tell the story, and say whether it adds up."""
    options = parse(sys.argv[1:])
    display = Display()
    try:
        found = tell(options, display)
    except HeadraceError as error:
        display.note(f"error: {error}", "bold red")
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(found.as_json(), indent=2) + "\n")
    display.blank()
    for end, count in found.ends.items():
        display.note(f"{count:>8,}  {end}")
    display.note(f"{found.submitted:>8,}  jobs in all")
    if found.adds_up:
        display.note("Every job is accounted for, and none did its work twice.", "bold green")
        return 0
    display.note(f"It does not add up: {found.as_json()}", "bold red")
    return 1


if __name__ == "__main__":
    sys.exit(main())
