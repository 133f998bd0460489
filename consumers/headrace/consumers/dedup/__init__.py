"""The dedup window: of all submissions of one `dedup_key`, the first runs and the others do not.

`first.py` decides, from what `notes.py` holds; `note_log.py` stores a note before the commit that
covers its job; `note_reader.py` reads the notes of a partition that was taken over; `lane_dedup.py`
is what a lane sees of it. Decision record 12 has the cases one by one.
"""

from headrace.consumers.dedup.first import Firsts
from headrace.consumers.dedup.lane_dedup import NOTE_BYTES, LaneDedup
from headrace.consumers.dedup.note_log import NoteLog
from headrace.consumers.dedup.note_reader import NoteReader
from headrace.consumers.dedup.notes import Span

__all__ = ["NOTE_BYTES", "Firsts", "LaneDedup", "NoteLog", "NoteReader", "Span"]
