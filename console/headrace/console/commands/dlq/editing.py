"""`headrace dlq edit`: the same job with other arguments."""

import difflib
import json as jsonlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.dlq.asking import By, DryRun, Yes, confirm, who
from headrace.console.commands.dlq.looking import First, Second
from headrace.console.options import AppDir, Json, load, reference_and_rest

if TYPE_CHECKING:
    from headrace.processors.dead_letter import DeadLetter
    from headrace.processors.repair.draft import Draft
    from headrace.processors.repair.edit import Edit, Editor

_Names = list[str] | None


def edit(
    first: First = None,
    second: Second = None,
    *,
    assign: Annotated[
        _Names,
        typer.Option(
            "--set",
            metavar="PATH=JSON",
            help="Change one value: --set 'to.address=\"ada@example.com\"'; repeat it for more.",
            show_default=False,
        ),
    ] = None,
    remove: Annotated[
        _Names,
        typer.Option(
            "--remove",
            metavar="PATH",
            help="Take one value out: --remove items.0; repeat it for more.",
            show_default=False,
        ),
    ] = None,
    arguments: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="All arguments as a JSON object, from a file; - is standard input.",
            show_default=False,
        ),
    ] = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why.")] = "",
    by: By = None,
    force: Annotated[
        bool, typer.Option(help="Also a letter that is not open: it was replayed, say.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Run a dead job with other arguments: checked, shown as a difference, submitted as a new job.

    The new job starts afresh on the lane of the old one, with the same tenant and ordering key; each
    names the other (`headrace jobs show`). Without --set, --remove and --arguments the arguments are
    opened in $EDITOR. The same edit done twice is one job. Texts stand for bytes as UTF-8.

    Exit code 1 when the job has no dead letter, or the arguments do not fit its type.
    """
    from headrace.processors.dead_letter_view import DeadLetters
    from headrace.processors.repair.edit import Editor

    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one job id, got {' '.join(rest) or 'none'}")
    pipeline, kafka = load(reference, app_dir), views.kafka()
    with views.progress() as progress:
        letter = DeadLetters(pipeline, kafka, progress).of_job_or_error(rest[0])[-1]
    _must_be_open(letter, force=force)
    editor = Editor(pipeline, kafka)
    draft = editor.draft(letter)
    if assign or remove or arguments is not None:
        changed = editor.edit(draft, _changed(draft, arguments, assign or (), remove or ()))
    else:
        changed = _in_editor(editor, draft)
    if not json:
        _print_diff(draft.arguments or {}, changed.arguments)
    if not dry_run:
        confirm(f"Submit this as a new job to {changed.lane}?", yes=yes)
        place = editor.submit(changed, by=who(by), reason=why, now=views.now())
        told = str(place) if place is not None else "submitted before, by the same edit"
        _report(changed, told, json=json)
    else:
        _report(changed, None, json=json)


def _must_be_open(letter: "DeadLetter", *, force: bool) -> None:
    from headrace.processors.errors import EditError
    from headrace.processors.repair.letter_states import LetterState

    if letter.state is LetterState.OPEN or force:
        return
    mark = letter.mark
    assert mark is not None
    further = f" to job {mark.new_job}" if mark.new_job else ""
    raise EditError(
        f"the dead letter of job {letter.job_id} is {letter.state}{further} (by {mark.by}, "
        f"{views.age(mark.at, views.now())}): editing it too could do its work twice; say --force "
        "if that is meant"
    )


def _changed(
    draft: "Draft", source: str | None, assign: "list[str] | tuple[()]", remove: Any
) -> Mapping[str, Any]:
    from headrace.processors.errors import EditError
    from headrace.processors.repair.json_paths import with_value, without_value

    if source is not None:
        found: Any = _document(_read(source), source)
    elif draft.arguments is None:
        raise EditError(
            f"the arguments of job {draft.letter.job_id} cannot be decoded, so no single one can be "
            f"changed: give all of them with --arguments ({draft.problem})"
        )
    else:
        found = dict(draft.arguments)
    for each in assign:
        path, equals, text = each.partition("=")
        if not equals:
            raise output.UsageError(f'--set {each}: write PATH=JSON, such as to="ada" or count=3')
        found = with_value(found, path.strip(), _value(path, text))
    for path in remove:
        found = without_value(found, path)
    return _object(found, source or "the change")


def _value(path: str, text: str) -> Any:
    try:
        return jsonlib.loads(text)
    except ValueError:
        raise output.UsageError(
            f"--set {path}: {text} is no JSON; a text needs quotes, which the shell must not take: "
            f"--set '{path}={jsonlib.dumps(text)}'"
        ) from None


def _read(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise output.UsageError(f"--arguments {source}: {error}") from None


def _document(text: str, source: str) -> Mapping[str, Any]:
    try:
        return _object(jsonlib.loads(text), source)
    except ValueError as error:
        raise output.UsageError(f"{source} is no JSON: {error}") from None


def _object(found: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise output.UsageError(f"{source} is a {type(found).__name__}, not a JSON object")
    return found


def _in_editor(editor: "Editor", draft: "Draft") -> "Edit":
    """Let a person change the arguments, until they fit or the person gives up."""
    from headrace.schemas.errors import HeadraceError

    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command or not sys.stdin.isatty():
        raise output.UsageError(
            "say what to change with --set PATH=JSON, --remove PATH or --arguments FILE; or set "
            "EDITOR and call this on a terminal"
        )
    with tempfile.TemporaryDirectory(prefix="headrace-edit-") as folder:
        file = Path(folder) / "arguments.json"
        file.write_text(_pretty(draft.arguments or {}) + "\n", encoding="utf-8")
        while True:
            _open(command, file)
            try:
                return editor.edit(draft, _document(file.read_text(encoding="utf-8"), "the text"))
            except HeadraceError as error:
                output.print_error(error)
                confirm("Open the editor again?", yes=False)


def _open(command: str, file: Path) -> None:
    try:
        subprocess.run([*shlex.split(command), str(file)], check=True)  # noqa: S603 - the user's own editor
    except (OSError, subprocess.CalledProcessError) as error:
        raise output.UsageError(f"the editor {command!r} failed: {error}") from None


def _pretty(document: Mapping[str, Any]) -> str:
    return jsonlib.dumps(document, ensure_ascii=False, indent=2)


def _print_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    out = output.console()
    old, new = _pretty(before).splitlines(), _pretty(after).splitlines()
    styles = {"+": "green", "-": "red"}
    for line in list(difflib.unified_diff(old, new, "dead letter", "new job", lineterm="", n=2)):
        if not line.startswith("@@"):
            out.print(line, style=styles.get(line[0]), markup=False)


def _report(edited: "Edit", place: str | None, *, json: bool) -> None:
    if json:
        output.print_json(
            {
                "job_id": edited.draft.letter.job_id,
                "new_job_id": edited.job_id,
                "submitted": place is not None,
                "place": place,
                "arguments": dict(edited.arguments),
            }
        )
        return
    print()
    output.facts(
        (
            ("new job", edited.job_id),
            ("edited from", edited.draft.letter.job_id),
            ("lies on", place),
        )
    )
    if place is None:
        output.progress("nothing was submitted: this was a dry run")
