"""`headrace schemas`: declared schemas against the committed files and the schema topic."""

from pathlib import Path
from typing import Annotated

import typer

from headrace.console import output
from headrace.console.options import AppDir, Json, Reference, load
from headrace.schemas.errors import HeadraceError

app = typer.Typer(
    no_args_is_help=True, help="Avro schemas of job types: the committed files decide."
)
Directory = Annotated[
    Path, typer.Option("--directory", help="Holds a folder of .avsc files for each pipeline.")
]


class SchemaFileError(HeadraceError):
    """A schema file cannot be read or written."""


@app.command()
def check(
    pipeline: Reference = None,
    directory: Directory = Path("schemas"),
    *,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Compare the declared schemas with the committed ones; exit code 1 when one is incompatible."""
    from headrace.pipeline import schema_files

    declared = load(pipeline, app_dir)
    try:
        findings = schema_files.compare(declared, directory)
    except OSError as error:
        raise _explained(error) from error
    if json:
        output.print_json(
            [
                {
                    "job_type": finding.job_type,
                    "change": finding.change.value,
                    "file": str(finding.file),
                    "reasons": [
                        {"field": each.field, "reason": each.reason, "breaks": each.breaks.value}
                        for each in finding.reasons
                    ],
                }
                for finding in findings
            ]
        )
    else:
        for finding in findings:
            print(finding)
    if any(finding.change is schema_files.Change.INCOMPATIBLE for finding in findings):
        raise typer.Exit(1)


@app.command()
def write(
    pipeline: Reference = None,
    directory: Directory = Path("schemas"),
    *,
    accept_incompatible: Annotated[
        bool,
        typer.Option(
            "--accept-incompatible",
            help="Write changes too that break queued jobs: when the lanes are drained.",
        ),
    ] = False,
    app_dir: AppDir = None,
) -> None:
    """Write the files of new and changed schemas, to be committed."""
    from headrace.pipeline import schema_files

    declared = load(pipeline, app_dir)
    try:
        findings = schema_files.write(declared, directory, accept_incompatible=accept_incompatible)
    except OSError as error:
        raise _explained(error) from error
    kept = {schema_files.Change.UNCHANGED, schema_files.Change.REMOVED}
    written = [finding for finding in findings if finding.change not in kept]
    for finding in written:
        print(f"wrote {finding.file} ({finding.change.value})")
    print(f"{len(written)} written, {len(findings) - len(written)} left as they are")


@app.command()
def publish(pipeline: Reference = None, *, app_dir: AppDir = None) -> None:
    """Publish the declared schemas on the pipeline's schema topic, as `topics apply` does too."""
    from headrace.pipeline import settings
    from headrace.pipeline.schema_topic import SchemaTopic, declared_schemas

    kafka = settings.load(settings.KafkaSettings)
    declared = load(pipeline, app_dir)
    topic = SchemaTopic(kafka, declared.topology)
    published = topic.publish(declared_schemas(declared))
    for schema in published:
        print(f"published {schema.name} ({schema.told})")
    if not published:
        print(f"all schemas are on {topic.topic} already")


def _explained(error: OSError) -> SchemaFileError:
    return SchemaFileError(
        f"{error.filename}: {error.strerror}; check the folder that --directory names"
    )
