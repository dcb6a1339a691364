"""What two rows have to share to be duplicates: their question, as a text and as a name for people."""

from __future__ import annotations

from alpaca_core import Candidate, Example
from alpaca_duplicates import Fields


def question(row: Candidate | Example, fields: Fields) -> str:
    """The text that is compared. Instruction and input are read as one, since people part them differently."""
    return f"{row.instruction}\n{row.input}" if fields == "instruction+input" else row.instruction


def name(example: Example) -> str:
    """The id and the first words of a kept row."""
    start = " ".join(example.instruction.split())
    return f"{example.id}: {start if len(start) <= 60 else start[:59] + '…'}"
