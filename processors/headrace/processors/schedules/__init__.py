"""Schedules for operators: how they stand, and what can be done with them."""

from headrace.processors.schedules.desk import Schedules
from headrace.processors.schedules.view import ScheduleView

__all__ = ["ScheduleView", "Schedules"]
