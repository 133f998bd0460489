"""`headrace schedules pause`, `resume` and `remove`."""

from headrace.console import output
from headrace.console.commands.schedules.naming import First, Second, caller, desk_and_name
from headrace.console.options import AppDir, Json


def pause(
    first: First = None, second: Second = None, *, json: Json = False, app_dir: AppDir = None
) -> None:
    """Let a schedule fire no more until it is resumed: no fire later than now.

    Holds for declared and added ones, and through restarts. Jobs that were submitted go on.
    """
    schedules, name = desk_and_name(first, second, app_dir)
    found = schedules.pause(name, caller())
    if json:
        output.print_json(found.as_json())
    else:
        print(f"{name} is paused; `headrace schedules resume` lets it fire again")


def resume(
    first: First = None, second: Second = None, *, json: Json = False, app_dir: AppDir = None
) -> None:
    """Let a paused schedule fire again. What fell into the pause is dropped."""
    schedules, name = desk_and_name(first, second, app_dir)
    found = schedules.resume(name, caller())
    if json:
        output.print_json(found.as_json())
        return
    upcoming = found.upcoming(1)
    print(f"{name} fires " + (f"next at {found.local(upcoming[0])}" if upcoming else "never again"))


def remove(
    first: First = None, second: Second = None, *, json: Json = False, app_dir: AppDir = None
) -> None:
    """Remove a schedule that was added here; one that the code declares is removed there.

    Exit code 1 for a declared one. Jobs that were submitted go on.
    """
    schedules, name = desk_and_name(first, second, app_dir)
    schedules.remove(name)
    if json:
        output.print_json({"removed": name})
    else:
        print(f"{name} is removed")
