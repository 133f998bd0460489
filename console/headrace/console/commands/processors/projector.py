"""`headrace processors projector|rebuild|status`: the query store."""

import os
import socket
from typing import TYPE_CHECKING

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.worker import Index
from headrace.console.options import AppDir, Json, Reference, load, required

if TYPE_CHECKING:
    from headrace.pipeline.settings import StoreSettings
    from headrace.processors.store.editions import Edition


def projector(reference: Reference = None, *, app_dir: AppDir = None, index: Index = None) -> None:
    """Keep the query store up to date, until a signal comes.

    Several may run: one writes, the others stand by. Health and metrics are served on
    HEADRACE_HTTP_PORT.
    """
    from headrace.console.process.role import Role, RoleProcess, configure_logs

    role = Role("projector", required(reference), index)
    log = configure_logs(role)
    process = RoleProcess(role, load(role.reference, app_dir), log)
    process.add_projector()
    raise typer.Exit(process.run())


def rebuild(reference: Reference = None, *, json: Json = False, app_dir: AppDir = None) -> None:
    """Build the query store anew from Kafka, beside the one that serves, and swap.

    The views go on reading the old one until the new one has caught up; a projector that runs goes
    on with the new one by itself. What Kafka does not keep any more is taken over from the old one.
    JSON keys: `edition`, `jobs`.
    """
    from headrace.processors.projector.rebuilding import rebuild as build
    from headrace.processors.store.engine import open_store
    from headrace.processors.store.reading import StoreReader

    pipeline = load(reference, app_dir)
    engine = open_store(_settings())
    owner = f"rebuild-{socket.gethostname()}-{os.getpid()}"
    try:
        with views.progress() as progress:
            edition = build(engine, pipeline, views.kafka(), owner, progress)
        jobs = sum(total.jobs for total in StoreReader(engine, pipeline.name).totals())
    finally:
        engine.dispose()
    if json:
        output.print_json({"edition": edition.number, "jobs": jobs})
    else:
        output.progress(f"edition {edition.number} serves, with {jobs:,} jobs")


def status(reference: Reference = None, *, json: Json = False, app_dir: AppDir = None) -> None:
    """Show the store: its editions, who writes, how far behind it is, and what could not be read.

    Exit code 1 when nobody writes to the edition that serves. JSON keys: `editions`, `behind`,
    `gaps`, `totals`.
    """
    from headrace.processors.projector.distance import behind
    from headrace.processors.store import editions
    from headrace.processors.store.engine import open_store
    from headrace.processors.store.reading import StoreReader

    pipeline = load(reference, app_dir)
    engine = open_store(_settings())
    try:
        known = editions.look(engine, pipeline.name)
        reader = StoreReader(engine, pipeline.name)
        serves = known[:1] if known and known[0].state == editions.SERVING else []
        distance = behind(engine, serves[0], pipeline, views.kafka()) if serves else {}
        gaps = reader.gaps() if serves else ()
        totals = reader.totals() if serves else ()
    finally:
        engine.dispose()
    at = views.now()
    if json:
        output.print_json(
            {
                "editions": [_as_json(each, at) for each in known],
                "behind": distance,
                "gaps": [
                    {"topic": gap.topic, "reason": gap.reason, "records": gap.records,
                     "first": gap.first, "last": gap.last}
                    for gap in gaps
                ],
                "totals": [
                    {"queue": total.queue, "priority": total.priority, "type": total.job_type,
                     "state": total.state, "jobs": total.jobs}
                    for total in totals
                ],
            }
        )  # fmt: skip
    else:
        _print(known, distance, at)
        for gap in gaps:
            output.progress(
                f"{gap.records:,} records of {gap.topic} could not be read ({gap.reason}): "
                f"{gap.first} to {gap.last}"
            )
    if not any(each.is_owned(at) for each in serves):
        output.progress(
            "nobody writes to the store now: start `headrace processors projector`; until then it "
            "tells of the past"
        )
        raise typer.Exit(1)


def _print(known: "list[Edition]", distance: dict[str, int], at: int) -> None:
    rows = [
        (each.number, each.state, each.owner or "-", views.age(each.beat, at) if each.beat else "-")
        for each in known
    ]
    output.table(("edition", "state", "written by", "last heard of"), rows)
    late = {topic: count for topic, count in distance.items() if count}
    if late:
        print()
        output.table(("topic", "offsets behind"), list(late.items()))


def _as_json(edition: "Edition", at: int) -> dict[str, object]:
    return {
        "number": edition.number,
        "state": edition.state,
        "made_ms": edition.made,
        "owner": edition.owner or None,
        "beat_ms": edition.beat or None,
        "owned": edition.is_owned(at),
    }


def _settings() -> "StoreSettings":
    from headrace.pipeline.settings import StoreSettings
    from headrace.pipeline.settings import load as load_settings

    return load_settings(StoreSettings)
