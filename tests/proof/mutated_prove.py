"""`headrace prove` whose workers and schedulers run another engine than this process does.

    python tests/proof/mutated_prove.py FOLDER prove --seed 7 …

Processes that are started from here find the packages in FOLDER first. This one has found its own
already: so what drives the run, and what checks it, is as it is in the source tree.
"""

import os
import sys

from headrace.console.main import run
from headrace.console.proof import runner

_DRAIN = 60.0
"""Seconds that jobs get to end: a mutant that is stuck need not be waited for as long as an engine
that may still go on."""


def main() -> None:
    """Run the command line that follows the folder."""
    os.environ["PYTHONPATH"] = sys.argv.pop(1)
    assert runner._DRAIN > _DRAIN, "the proof waits less than this: let it"
    runner._DRAIN = _DRAIN  # type: ignore[misc]
    run()


if __name__ == "__main__":
    main()
