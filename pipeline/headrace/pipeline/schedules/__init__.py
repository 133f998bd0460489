"""Schedules: jobs that are submitted by the clock. Everything here is pure: no Kafka, no clock."""

from headrace.pipeline.schedules.policies import Misfire, Overlap
from headrace.pipeline.schedules.schedule import Schedule, fires

__all__ = ["Misfire", "Overlap", "Schedule", "fires"]
