"""Recorded traffic in other tools' files -> exchanges, row by row; a row that is of no use is refused by name. Pure: bytes in, values out.

Nothing in a file is run, fetched or unpacked. One row is held at a time; the forms that need a whole file have a cap.
"""

from __future__ import annotations

from detent.formats.columns import COLUMNS, check_columns
from detent.formats.forms import FORMS, Form, Source, form_named, of_model, read, read_all, recognise
from detent.formats.reasons import BROKEN, REASONS, Reason
from detent.formats.rows import MAX_DOCUMENT, MAX_ROW
from detent.formats.tally import Tally

__all__ = [
    "BROKEN",
    "COLUMNS",
    "FORMS",
    "MAX_DOCUMENT",
    "MAX_ROW",
    "REASONS",
    "Form",
    "Reason",
    "Source",
    "Tally",
    "check_columns",
    "form_named",
    "of_model",
    "read",
    "read_all",
    "recognise",
]
