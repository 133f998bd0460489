"""`headrace scaler`: tells KEDA how many jobs are ready, and wakes lanes on time."""

import importlib.util

import typer

from headrace.console.commands.worker import Index
from headrace.console.options import AppDir, Reference, load, required


def scaler(reference: Reference = None, *, app_dir: AppDir = None, index: Index = None) -> None:
    """Answer KEDA over gRPC how many jobs of a lane are ready, until a signal comes.

    It implements KEDA's external scaler (external-push) on HEADRACE_SCALER_ADDRESS, 127.0.0.1:6000 by
    default. It counts what is due and not started, and what falls due while a new pod starts; a lane
    without pods is woken in time for its next delayed job. While Kafka does not answer it says that it
    does not know, never zero. Beyond loopback it listens with mutual TLS alone (HEADRACE_SCALER_TLS_…).

    With HEADRACE_SCALER_SCALE_IN=true, in a Kubernetes cluster, it also tells Kubernetes which worker
    pods have least to lose, and pauses scaling in while dead letters are replayed.
    """
    from headrace.console.process.role import Role, RoleProcess, configure_logs
    from headrace.pipeline.errors import SettingsError
    from headrace.pipeline.settings import ScalerSettings
    from headrace.pipeline.settings import load as load_settings

    role = Role("scaler", required(reference), index)
    log = configure_logs(role)
    if importlib.util.find_spec("grpc") is None:
        raise SettingsError("the scaler needs gRPC: run `pip install 'headrace[scaler]'`")
    process = RoleProcess(role, load(role.reference, app_dir), log)
    process.add_scaler(load_settings(ScalerSettings))
    raise typer.Exit(process.run())
