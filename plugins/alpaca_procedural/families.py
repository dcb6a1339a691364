"""The families of practice tasks, declared before the first training run and not chosen by looking at its scores."""

from __future__ import annotations

from alpaca_procedural.lists import LIST_FAMILIES
from alpaca_procedural.sentences import SENTENCE_FAMILIES

FAMILIES = {family.name: family for family in (*SENTENCE_FAMILIES, *LIST_FAMILIES)}
