"""Firing schedules: which scheduler does, what it must know first, and what it leaves behind."""
