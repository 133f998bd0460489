"""Scaling in with a mind to the work: which pods have least to lose, and when none should go.

asking     Kubernetes' API, the two verbs that are needed     (`cluster_api.py`)
costs      what a pod's end would cost                        (`costs.py`)
pauses     no scaling in while dead letters are replayed      (`pauses.py`, `running_replays.py`)
running    all of it, from time to time                       (`controller.py`)
"""
