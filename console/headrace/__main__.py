"""`python -m headrace`: the same as the `headrace` command."""

from headrace.console.main import run

run()
