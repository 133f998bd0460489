"""Start, stop and look at the embedded broker of a directory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from headrace.pipeline.broker import (
    configuration,
    jars,
    java,
    layout,
    locks,
    pins,
    process,
    startup,
    state,
)
from headrace.pipeline.broker.configuration import Ports
from headrace.pipeline.broker.errors import (
    AlreadyRunningError,
    BrokerError,
    DataVersionError,
    PortInUseError,
    SecuredError,
)
from headrace.pipeline.broker.layout import Layout
from headrace.pipeline.broker.options import (
    DEFAULT_DIRECTORY,
    BrokerAddress,
    BrokerOptions,
    BrokerState,
    BrokerStatus,
    Progress,
    silent,
)
from headrace.pipeline.broker.state import Phase, State

STOP_TIMEOUT = timedelta(seconds=30)  # a broker that hangs on its disk; a clean stop takes 1 s
_FORGET_TIMEOUT = timedelta(seconds=5)  # for a half-started broker when the start was broken off
_PORT_TRIES = 3


def fetch(progress: Progress = silent) -> None:
    """Bring Kafka's jars into the user's cache, so that a later start needs no network.

    Raises:
        DownloadError, DirectoryError, ExtraMissingError: see `start`.
    """
    jars.classpath(pins.load(), progress)


def start(options: BrokerOptions | None = None) -> BrokerAddress:
    """Start the broker of a directory in the background, or find it running.

    The broker outlives this process. When this returns it serves metadata, consumer groups and
    transactions. Of two concurrent starts in one directory one starts it, and both get the same
    address. Data stays between starts, and the port too while it is free.

    Raises:
        JavaError: no Java 17 or newer.
        DownloadError: the jars of Kafka could not be fetched, or (ChecksumError) are not ours.
        DirectoryError: the directory or the cache cannot be written, or (DiskFullError) is full.
        PortInUseError: the port asked for is taken.
        AlreadyRunningError: it runs on another port than the one asked for.
        SecuredError: `headrace kafka start --security` made it ask who comes, and the options do not.
        DataVersionError, DataInUseError, StateFileError: the directory needs a person.
        StartError: Kafka ended, or (StartTimeoutError) did not serve in time.
    """
    options = options or BrokerOptions()
    place = layout.layout_of(options.directory)
    place.prepare()
    _refuse_unasked(options, place)
    waiting = "Waiting for another process that is starting or stopping this broker"
    with locks.exclusive(place.lock, options.progress, waiting):
        last = state.read(place.state)
        if last is not None and last.process.alive() and last.phase is not Phase.STOPPED:
            return _found(options, place, last)
        return _started(options, place, last)


def stop(
    directory: Path = DEFAULT_DIRECTORY,
    timeout: timedelta = STOP_TIMEOUT,
    progress: Progress = silent,
) -> bool:
    """Stop the broker of a directory: SIGTERM, and SIGKILL after the timeout.

    Returns:
        True if it was running, False if there was nothing to stop.

    Raises:
        StateFileError: `kafka.json` cannot be understood, so nobody knows what to stop.
    """
    place = layout.layout_of(directory)
    if not place.state.exists():
        return False
    waiting = "Waiting for another process that is starting or stopping this broker"
    with locks.exclusive(place.lock, progress, waiting):
        last = state.read(place.state)
        if last is None:
            return False
        ran = last.phase is not Phase.STOPPED and last.process.alive()
        if ran and not process.end(last.process, timeout):
            progress(
                f"Kafka (process {last.pid}) did not stop within {timeout.total_seconds():g} s "
                "and was killed; the next start will check its data"
            )
        state.write(place.state, last.at(Phase.STOPPED))
        return ran


def status(directory: Path = DEFAULT_DIRECTORY) -> BrokerStatus:
    """What is known about the broker of a directory. Connects to nothing, changes nothing.

    Raises:
        StateFileError: `kafka.json` cannot be understood.
    """
    place = layout.layout_of(directory)
    known = state.read(place.state)
    seen = _seen(known)
    lives = known is not None and seen in (BrokerState.RUNNING, BrokerState.STARTING)
    return BrokerStatus(
        state=seen,
        bootstrap=known.bootstrap if known else None,
        pid=known.pid if known and lives else None,
        uptime=timedelta(seconds=time.time() - known.started_at) if known and lives else None,
        version=known.version if known else pins.load().kafka,
        data_bytes=layout.size_on_disk(place.data),
        directory=place.root,
        log=place.log,
    )


@contextmanager
def running(
    options: BrokerOptions | None = None, *, owned: bool = False
) -> Iterator[BrokerAddress]:
    """A running broker for the length of a `with` block.

    On leaving, a broker that this call started is stopped. One that ran already is left alone,
    unless it is `owned`.
    """
    options = options or BrokerOptions()
    address = start(options)
    try:
        yield address
    finally:
        if address.started or owned:
            stop(options.directory, progress=options.progress)


def _seen(known: State | None) -> BrokerState:
    if known is None or known.phase is Phase.STOPPED:
        return BrokerState.STOPPED
    if not known.process.alive():
        return BrokerState.CRASHED
    return BrokerState.STARTING if known.phase is Phase.STARTING else BrokerState.RUNNING


def _refuse_unasked(options: BrokerOptions, place: Layout) -> None:
    """Leave a broker alone that would be opened to everybody, or that would not let us in."""
    if options.security is None and place.asks.exists():
        raise SecuredError(
            f"the broker of {place.root} asks its clients who they are",
            f"start it with `headrace kafka start --directory {place.root}` and take the settings "
            "that it prints, or use another --directory",
        )


def _found(options: BrokerOptions, place: Layout, known: State) -> BrokerAddress:
    if options.port not in (None, known.port):
        raise AlreadyRunningError(
            f"the broker of {place.root} already runs on port {known.port}, not {options.port}",
            "stop it first, use that port, or give another directory",
        )
    if known.phase is Phase.STARTING:  # whoever started it died before it served
        _await(options, place, known)
        options.progress(f"Kafka {known.version} is ready on {known.bootstrap}")
    return _address(place, known, started=False)


def _started(options: BrokerOptions, place: Layout, last: State | None) -> BrokerAddress:
    pinned = pins.load()
    _check_version(place, pinned.kafka)
    found = java.find()
    begin = startup.Startup(options, place, found, jars.classpath(pinned, options.progress))
    crashed = last is not None and last.phase is not Phase.STOPPED
    if crashed:
        options.progress("The broker was not stopped cleanly: Kafka checks its data first")
        _recovered(begin, pinned.kafka, last)
    for attempt in range(1, _PORT_TRIES + 1):
        try:
            return _begun(begin, pinned.kafka, last, "recovery" if crashed else "previous")
        except PortInUseError:
            if options.port is not None or attempt == _PORT_TRIES:
                raise  # a free port taken between our look and Kafka's is worth another look
    raise AssertionError  # pragma: no cover  (the loop returns or raises)


def _recovered(begin: startup.Startup, version: str, last: State | None) -> None:
    """Start Kafka where no client finds it, and stop it cleanly.

    A broker that was killed takes up the leaderships that it had, loses them as soon as its
    controller has understood, and gets them again. A coordinator of groups that is loading just then
    may keep a part of what its log says, and goes on with that: groups with members that are long
    gone, partitions that nobody gets (seen on Kafka 4.3.1). After a clean stop it loads once.

    A coordinator of transactions that aborts one just then may call it complete without having told
    each of its partitions, whose readers then wait for ever (seen on Kafka 4.3.1): so it aborts
    none here.
    """
    hidden = replace(begin.options, port=None, proxied=(), progress=silent)
    alone = replace(begin, options=hidden, behaviour=configuration.ABORTING_NOTHING)
    ports = startup.choose_ports(startup.free_port(()), last.ports if last else None)
    known = _spawned(alone, version, ports, "previous")
    _await(alone.options, begin.layout, known, then=Phase.STARTING)
    process.end(known.process, STOP_TIMEOUT)
    state.write(begin.layout.state, replace(last or known, phase=Phase.STOPPED))


def _begun(begin: startup.Startup, version: str, last: State | None, earlier: str) -> BrokerAddress:
    options, place = begin.options, begin.layout
    ports = startup.choose_ports(options.port, last.ports if last else None)
    if not startup.is_free(ports.client):
        raise PortInUseError(ports.client)
    options.progress(f"Starting Kafka {version} on {state.bootstrap_of(ports)}")
    known = _spawned(begin, version, ports, earlier)
    _await(options, place, known)
    options.progress(f"Kafka {known.version} is ready on {known.bootstrap}")
    return _address(place, known, started=True)


def _spawned(begin: startup.Startup, version: str, ports: Ports, earlier: str) -> State:
    begin.write_settings(ports)
    cluster_id = begin.cluster_id()
    begin.layout.version.write_text(f"{version}\n", "utf-8")
    began = begin.spawn(earlier)
    return State(
        phase=Phase.STARTING,
        port=ports.client,
        controller_port=ports.controller,
        version=version,
        cluster_id=cluster_id,
        java=begin.java.path,
        pid=began.pid,
        process_started=began.started,
        started_at=time.time(),
        bootstrap=state.bootstrap_of(ports),
    )


def _await(
    options: BrokerOptions, place: Layout, known: State, then: Phase = Phase.RUNNING
) -> None:
    wait = startup.Waiting(
        known.process,
        known.ports,
        known.cluster_id,
        place,
        options.start_timeout,
        options.security.client() if options.security else {},
    )
    try:
        state.write(place.state, known)
        wait.until_it_serves()
    except BaseException:  # Ctrl-C and a full disk too: nobody would know of the process
        process.end(known.process, _FORGET_TIMEOUT)
        state.write(place.state, known.at(Phase.STOPPED))
        raise
    state.write(place.state, known.at(then))


def _address(place: Layout, known: State, *, started: bool) -> BrokerAddress:
    return BrokerAddress(
        bootstrap=known.bootstrap,
        pid=known.pid,
        directory=place.root,
        java=known.java,
        log=place.log,
        started=started,
    )


def _check_version(place: Layout, version: str) -> None:
    """Kafka reads what an older Kafka wrote, never what a newer one did."""
    try:
        wrote = place.version.read_text("utf-8").strip()
    except FileNotFoundError:
        return
    except OSError as error:
        raise layout.unusable(place.version, error) from error
    if _numbers(wrote, place) > _numbers(version, place):
        raise DataVersionError(
            f"the data in {place.data} was written by Kafka {wrote}, this Headrace runs {version}",
            f"use the newer Headrace, or move {place.home} away to begin anew",
        )


def _numbers(version: str, place: Layout) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError as error:
        raise _unknown_version(version, place) from error


def _unknown_version(version: str, place: Layout) -> BrokerError:
    return DataVersionError(
        f"{place.version} names {version[:40]!r}, which is no version of Kafka",
        "correct it if you know the version, or delete the file if the data is of this release",
    )
