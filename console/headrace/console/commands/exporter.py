"""`headrace exporter`: lag as Prometheus metrics."""

import typer

from headrace.console.commands.worker import Index
from headrace.console.options import AppDir, Reference, load, required


def exporter(reference: Reference = None, *, app_dir: AppDir = None, index: Index = None) -> None:
    """Serve what `headrace lag` shows as Prometheus metrics, until a signal comes.

    It looks at Kafka every HEADRACE_EXPORTER_INTERVAL, so a scrape of /metrics on
    HEADRACE_HTTP_PORT (127.0.0.1 by default) costs Kafka nothing. While Kafka does not answer the
    figures stay, with their age, for HEADRACE_EXPORTER_STALE_AFTER; then they are taken away and
    /health/ready fails. Zeros are never made up. It changes nothing, and several may run.
    """
    from headrace.console.process.role import Role, RoleProcess, configure_logs

    role = Role("exporter", required(reference), index)
    log = configure_logs(role)
    process = RoleProcess(role, load(role.reference, app_dir), log)
    process.add_exporter()
    raise typer.Exit(process.run())
