"""The options that say which dead letters are meant: the same for every command."""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import duration_or_moment, split

if TYPE_CHECKING:
    from headrace.processors.repair.letter_filter import LetterFilter
    from headrace.processors.repair.letter_states import LetterState

_Names = list[str] | None
_ALL: Final = "all"
_REPEAT: Final = "repeat it for more."


def _named(flag: str, metavar: str, help_text: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=f"{help_text}; {_REPEAT}", show_default=False)


def _time(flag: str, help_text: str) -> Any:
    return typer.Option(
        flag,
        parser=duration_or_moment,
        metavar="DURATION|TIME",
        help=f"{help_text}: 2h (ago), or a time.",
        show_default=False,
    )


def with_conditions(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which letters are meant.

    The command takes them as one keyword argument, `wanted`, a `LetterFilter`.
    """
    own = inspect.signature(command).parameters.values()
    shared = inspect.signature(conditions).parameters
    merged = [*(each for each in own if each.name != "wanted"), *shared.values()]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in shared}
        command(wanted=conditions(**chosen), **given)

    called.__signature__ = inspect.Signature(merged)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in merged}
    return called


def conditions(
    *,
    job_type: Annotated[_Names, _named("--type", "NAME", "Of this job type")] = None,
    queue: Annotated[_Names, _named("--queue", "NAME", "Of this queue")] = None,
    reason: Annotated[_Names, _named("--reason", "NAME", "Dead for this reason")] = None,
    error: Annotated[_Names, _named("--error", "CLASS", "With an error of this class")] = None,
    text: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="With this text in the error, its traceback or the arguments (case ignored).",
            show_default=False,
        ),
    ] = "",
    tenant: Annotated[_Names, _named("--tenant", "NAME", "Of this tenant")] = None,
    key: Annotated[_Names, _named("--key", "TEXT", "With this ordering key")] = None,
    fingerprint: Annotated[
        _Names, _named("--fingerprint", "HEX", "With this fingerprint, or its beginning")
    ] = None,
    since: Annotated[Any, _time("--since", "Died since")] = None,
    until: Annotated[Any, _time("--until", "Died before")] = None,
    min_generation: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Replayed at least so often.", show_default=False),
    ] = None,
    max_generation: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Replayed at most so often.", show_default=False),
    ] = None,
    state: Annotated[
        _Names,
        _named(
            "--state",
            "STATE",
            "In this state: open (when not given), replayed, resolved, discarded, edited, all",
        ),
    ] = None,
    job_id: Annotated[_Names, _named("--id", "JOB_ID", "Of this job")] = None,
) -> "LetterFilter":
    """Make the filter."""
    from headrace.processors.repair.letter_filter import LetterFilter

    return LetterFilter(
        job_types=split(job_type),
        queues=split(queue),
        reasons=_reasons(reason),
        errors=split(error),
        text=text,
        tenants=tuple(tenant or ()),
        keys=tuple(key or ()),
        fingerprints=split(fingerprint),
        since=views.epoch(since),
        until=views.epoch(until),
        min_generation=min_generation,
        max_generation=max_generation,
        states=_states(state),
        ids=split(job_id),
    )


def none_match(wanted: "LetterFilter") -> typer.Exit:
    """Say that no letter is meant, and give what ends the command with exit code 1."""
    hint = "; --state all looks at all of them" if wanted.states else ""
    states = ", ".join(state.value for state in wanted.states)
    output.progress(f"no dead letter matches (state: {states or 'any'}{hint})")
    return typer.Exit(1)


def _states(given: list[str] | None) -> "tuple[LetterState, ...]":
    from headrace.processors.repair.letter_states import LetterState

    chosen = split(given)
    if _ALL in chosen:
        return ()
    known = [state.value for state in LetterState]
    for state in chosen:
        if state not in known:
            raise output.UsageError(f"--state {state}: there are {', '.join(known)} and {_ALL}")
    return tuple(LetterState(state) for state in chosen) or (LetterState.OPEN,)


def _reasons(given: list[str] | None) -> tuple[str, ...]:
    from headrace.schemas.states import DeadReason

    known = [reason.value for reason in DeadReason]
    for reason in split(given):
        if reason not in known:
            raise output.UsageError(
                f"--reason {reason}: it is the reason why jobs died, and there are "
                f"{', '.join(known)}; say why you do something with --why"
            )
    return split(given)
