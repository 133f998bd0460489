"""`headrace dlq discard`: nothing is to be done about these letters."""

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.dlq.asking import By, DryRun, Yes, confirm, warn_missing, who
from headrace.console.commands.dlq.conditions import none_match, with_conditions
from headrace.console.options import AppDir, Json, Reference, load

if TYPE_CHECKING:
    from headrace.processors.repair.discard import Chosen
    from headrace.processors.repair.letter_filter import LetterFilter


@with_conditions
def discard(
    reference: Reference = None,
    *,
    wanted: "LetterFilter",
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; required.")],
    by: By = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Discard dead letters: say that nothing is to be done about them, and why.

    They stay where they lie, and can still be listed with --state discarded, replayed and exported.
    The audit topic tells who did it. Exit code 1 when no letter matches; with --json that is a
    count of 0 and exit code 0.
    """
    from headrace.processors.dead_letter_view import DeadLetters
    from headrace.processors.repair.discard import choose
    from headrace.processors.repair.discard import discard as mark_discarded

    if not why.strip():
        raise output.UsageError("--why is empty: say why nothing is to be done about them")
    pipeline, kafka = load(reference, app_dir), views.kafka()
    with views.progress() as progress:
        chosen = choose(DeadLetters(pipeline, kafka, progress).select(wanted))
    warn_missing(chosen.missing(wanted.ids))
    count = len(chosen.letters)
    if not count and not json:
        raise none_match(wanted)
    if not json:
        _print_kinds(chosen)
    if count and not dry_run:
        confirm(f"Discard {count:,} dead letters?", yes=yes)
        mark_discarded(
            pipeline.topology,
            kafka,
            chosen,
            by=who(by),
            reason=why,
            now=views.now(),
            wanted=wanted,
        )
    if json:
        output.print_json({"discarded": 0 if dry_run else count, "matched": count})
    else:
        print(f"{count:,} dead letters {'would be' if dry_run else 'are'} discarded")


def _print_kinds(chosen: "Chosen") -> None:
    rows = ((job_type or "-", error, n) for (job_type, error), n in chosen.kinds.most_common())
    output.table(("type", "error", "letters"), rows)
