"""When scaling in is paused: while dead letters are replayed. No Kafka, no Kubernetes.

KEDA lets nothing scale in while a ScaledObject has the annotation
(https://keda.sh/docs/latest/concepts/scaling-deployments/). A second one of ours says who set it: what
somebody paused by hand stays paused, and what they released stays released.
"""

from collections.abc import Mapping, Sequence
from typing import Final

PAUSED: Final = "autoscaling.keda.sh/paused-scale-in"
OURS: Final = "headrace/scale-in-paused-for"
"""Names the replay."""


def change_of(
    annotations: Mapping[str, str], replays: Sequence[str]
) -> Mapping[str, str | None] | None:
    """Say what to change of a ScaledObject's annotations; None when nothing is.

    Args:
        annotations: As they are.
        replays: The names of replays that run.
    """
    if replays:
        known = PAUSED in annotations or OURS in annotations
        return None if known else {PAUSED: "true", OURS: replays[0]}
    return {PAUSED: None, OURS: None} if OURS in annotations else None
