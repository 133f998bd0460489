"""python -m examples.stream: run the stream until Ctrl-C."""

import sys

from examples.stream.watching import make_app
from headrace.processors import run_stream

sys.exit(run_stream(make_app()))
