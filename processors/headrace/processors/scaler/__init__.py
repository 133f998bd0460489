"""Answers KEDA how many jobs of a lane are ready, and wakes lanes when delayed work falls due.

trigger    what a ScaledObject asks for                    (`trigger.py`)
demand     what a lane asks for at a moment                (`demand.py`)
watching   looking at Kafka from time to time              (`watching.py`)
answering  KEDA's calls                                    (`servicing.py`, `wire/`)
serving    port, certificates, health                      (`server.py`, `certificates.py`)
"""
