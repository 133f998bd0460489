"""The only module that talks to a Maven repository, and only when a jar is missing.

jgo does the talking, so that a mirror named in its settings file (`[repositories]` in
`~/.config/jgo.conf`) is asked before the central repository.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.pipeline.broker.errors import ExtraMissingError
from headrace.pipeline.broker.pins import Jar

if TYPE_CHECKING:  # jgo costs 0.3 s and is an extra: a started broker never imports it
    from jgo.maven import MavenContext

ANSWER_TIMEOUT_SECONDS = 20

Fetch = Callable[[Jar], Path]


def fetcher(folder: Path) -> Fetch:
    """A function that fetches one jar from the repository into a folder, unverified.

    The function raises OSError when the network is the trouble (requests' errors are OSErrors)
    and RuntimeError when no repository has the jar. It is safe to call from several threads.

    Raises:
        ExtraMissingError: jgo is not installed.
    """
    context = maven(folder)

    def fetch(jar: Jar) -> Path:
        artifact = context.project(jar.group, jar.name).at_version(jar.version).artifact()
        if artifact.cached_path is not None:
            artifact.cached_path.unlink(missing_ok=True)  # the torn file of an earlier try
        return artifact.resolve()

    return fetch


def maven(folder: Path) -> "MavenContext":
    """The repositories as jgo sees them, with a folder of its own in place of `~/.m2`."""
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        raise ExtraMissingError(
            f"the embedded broker needs the Python package jgo to fetch Kafka ({error})",
            "run: pip install 'headrace[kafka]'",
        ) from error
    # jgo warns on the root handler about what we check and report ourselves
    logging.getLogger("jgo").setLevel(logging.ERROR)
    mirrors = dict(GlobalSettings.load().repositories)
    context = MavenContext(repo_cache=folder, timeout=ANSWER_TIMEOUT_SECONDS)
    context.remote_repos = mirrors | context.remote_repos
    return context
