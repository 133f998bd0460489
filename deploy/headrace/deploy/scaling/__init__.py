"""How a replica count comes about: strategies, and the arithmetic of KEDA and the autoscaler.

strategy      what a lane's scaling is like (`rules.py`, `strategy.py`, `strategies.py`, `floors.py`)
trigger       what KEDA's kafka trigger makes of offsets (`kafka_trigger.py`)
autoscaler    what the HorizontalPodAutoscaler makes of a metric (`horizontal.py`)
operator      what KEDA itself does: 0 and 1, cooldown, fallback (`operator.py`)
explaining    the same for one moment, in words (`explaining.py`)
simulating    the same for a whole load (`load.py`, `shapes.py`, `lane_world.py`, `simulation.py`)

No Kafka, no Kubernetes, no clock: times are given. One implementation for `headrace scale explain`,
`headrace scale simulate` and `headrace up --autoscale`.
"""
