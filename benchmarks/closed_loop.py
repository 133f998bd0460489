"""The closed loop on a cluster, recorded and drawn: `python -m benchmarks.closed_loop` (two minutes).

Real KEDA and a real autoscaler, on the cluster of KUBECONFIG, decide how many workers run here: see
tests/cluster. Writes what happened, which a test holds against our own arithmetic, and the picture.
`as-rendered` takes ten minutes, with the windows that lanes have unless a profile says otherwise. With
`--draw` it draws what was recorded before. CLUSTER_HPA_SYNC says how often the cluster's autoscaler decides,
in seconds (15 unless a cluster says otherwise).
"""

# pyright: reportMissingImports=false

import argparse
import os
import tempfile
import textwrap
import uuid
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headrace.pipeline import broker
from tests.cluster.closed_loop import Outcome, closed_loop, nothing_is_lost
from tests.cluster.kubectl import Cluster
from tests.cluster.recording import Moment, Recorded
from tests.cluster.replaying import Step, apart, replayed, steps
from tests.cluster.runs import RUNS, WAIT, Run
from tests.cluster.trial import SYNC, plan_of, trial

FOLDER = Path("docs/scaling")
PATIENCE = 900.0
_LAG, _READY, _OURS, _WORKERS, _WANTED = "#a8a29e", "#c2410c", "#0f766e", "#475569", "#1c1917"


def record(run: Run, file: Path) -> Outcome:
    """Run the loop, and keep what happened."""
    cluster = Cluster.named(os.environ)
    with tempfile.TemporaryDirectory() as place:
        options = broker.BrokerOptions(directory=Path(place, "broker"))
        with broker.running(options, owned=True) as address:
            name = f"t{uuid.uuid4().hex[:7]}"
            where = (cluster, name, address.bootstrap, Path(place))
            with trial(*where, run.pace, wait=WAIT) as lane:
                lane.await_replicas(0)
                outcome = closed_loop(lane, run.load, PATIENCE)
    Recorded(SYNC, outcome.moments).write(file)
    return outcome


def told(outcome: Outcome) -> None:
    """Say in words what came of it."""
    print(f"submitted {len(outcome.submitted)}; ended {dict(outcome.ended)}")
    print(f"nothing lost, nothing twice: {nothing_is_lost(outcome)}")
    print(f"workers at most {outcome.most_workers}")


def compared(recorded: Recorded, run: Run) -> list[Step]:
    """Hold the real decisions against our arithmetic; gives ours."""
    ours = replayed(recorded.moments, plan_of(run.pace, WAIT), recorded.sync)
    real = steps(recorded.moments)
    print("real ", [(each.at, each.replicas) for each in real])
    print("ours ", [(each.at, each.replicas) for each in ours])
    print("apart", apart(real, ours))
    return ours


def draw(recorded: Recorded, ours: Sequence[Step], how: str, file: Path) -> None:
    """Draw what waited above, and who was wanted and worked below, on one axis of time."""
    mpl.use("agg")
    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    _waiting(above, recorded.moments)
    _working(below, recorded.moments, ours)
    note = f"{how}, and this cluster's autoscaler decides every {recorded.sync.seconds} s."
    below.set_xlabel("seconds\n" + textwrap.fill(note, 110), loc="left")
    figure.savefig(file, dpi=110, metadata={"Software": None})


def _waiting(axes: Axes, moments: Sequence[Moment]) -> None:
    at = [each.at for each in moments]
    axes.plot(at, [each.submitted for each in moments], color=_WANTED, ls=":", label="submitted")
    axes.plot(at, [sum(each.lag) for each in moments], color=_LAG, label="lag, as KEDA counts")
    axes.plot(at, [each.ready for each in moments], color=_READY, label="ready backlog")
    axes.set_title("Jobs", loc="left")
    _finished(axes)


def _working(axes: Axes, moments: Sequence[Moment], ours: Sequence[Step]) -> None:
    at, end = [each.at for each in moments], moments[-1].at
    workers = [each.workers for each in moments]
    axes.fill_between(
        at, workers, step="post", color=_WORKERS, alpha=0.25, label="workers that run"
    )
    wanted = [each.replicas for each in moments]
    axes.step(at, wanted, where="post", color=_WANTED, label="wanted by real KEDA")
    times, counts = [*(each.at for each in ours), end], [each.replicas for each in ours]
    counts.append(counts[-1])
    axes.step(times, counts, where="post", color=_OURS, ls="--", label="our arithmetic")
    axes.set_title("Workers", loc="left")
    _finished(axes)


def _finished(axes: Axes) -> None:
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")


def main() -> None:
    """Record unless told otherwise, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", choices=RUNS, default="closed-loop")
    parser.add_argument("--draw", action="store_true", help="draw what was recorded before")
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    run, file = RUNS[options.run], options.output / f"{options.run}.csv"
    if not options.draw:
        told(record(run, file))
    recorded = Recorded.read(file)
    draw(recorded, compared(recorded, run), run.how, file.with_suffix(".png"))


if __name__ == "__main__":
    main()
