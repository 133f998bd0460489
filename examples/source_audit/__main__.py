"""`python -m examples.source_audit`: exit code 0 when jobs and plain loop agree, else 1."""

import os
import platform
import signal
import sys
from types import FrameType
from typing import Final

from confluent_kafka import KafkaException

from examples.source_audit.audit import run_demo
from examples.source_audit.display import Display
from examples.source_audit.options import Options, parse
from examples.source_audit.report import conclude
from headrace.pipeline import settings
from headrace.pipeline.settings import LogSettings
from headrace.pipeline.telemetry import logs
from headrace.schemas.errors import HeadraceError

KEPT: Final = ("HEADRACE_CACHE_DIR", "HEADRACE_LOG_LEVEL", "HEADRACE_LOG_FORMAT")
"""Of the caller's settings, those that also mean something to a demo with a broker of its own."""
INTERRUPTED: Final = 130


def main() -> int:
    """Run the demo and say how it went."""
    options = parse(sys.argv[1:])
    _forget_settings()
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal must not leave a worker
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    display = Display()
    display.note("Headrace: an audit of Python source code, one job for each file", "bold")
    display.fact("python", f"{platform.python_implementation()} {platform.python_version()}")
    display.fact("files", f"{options.directory}/**/*.py")
    try:
        _log_to_file(options)
        outcome = run_demo(options, display)
    except (HeadraceError, KafkaException) as error:
        display.note(f"error: {error}", "bold red")
        return 1
    except KeyboardInterrupt:
        display.note("Interrupted; everything is stopped", "bold red")
        display.note("Jobs that have not run stay in Kafka: the next demo's worker runs them too")
        return INTERRUPTED
    return conclude(outcome, options, display)


def _forget_settings() -> None:
    """Leave out HEADRACE_* of the environment, here and in the processes that are started."""
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        if name not in KEPT:
            del os.environ[name]


def _log_to_file(options: Options) -> None:
    logs.configure(
        settings.load(
            LogSettings,
            log_console_enabled=False,
            log_file_enabled=True,
            log_file_path=options.logs / "source-audit-demo.log",
        ),
        role="demo",
    )


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
