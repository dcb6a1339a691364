"""How long a model will be there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any


def retirement(model: str, found: Mapping[str, Any]) -> list[str]:
    """What people should know about the end of ``model``: from ``found``, the provider's own words, or else from the
    SDK's list. [] where no day is known."""
    day = _day(found.get("retires_at")) or _day_by_sdk(model)
    if day is None:
        return []
    left = (day - datetime.now(UTC).date()).days
    if left > 0:
        days = "one day" if left == 1 else f"{left:,} days"
        return [
            f"Anthropic retires {model} on {day}, in {days}: finish this run before then, or choose another model now"
            " with --model NAME."
        ]
    return [
        f"Anthropic was to retire {model} on {day}: it may refuse everything that is asked. Choose another model with"
        " --model NAME."
    ]


def _day(text: Any) -> date | None:
    try:
        return datetime.fromisoformat(text).date()
    except (ValueError, TypeError):
        return None


def _day_by_sdk(model: str) -> date | None:
    """The SDK knows models that were announced to go when it was made, as "November 30th, 2026"."""
    try:
        from anthropic.resources.messages.messages import DEPRECATED_MODELS

        words = re.sub(r"(?<=\d)(st|nd|rd|th)", "", DEPRECATED_MODELS[model])
        return datetime.strptime(words, "%B %d, %Y").date()
    except (ImportError, LookupError, ValueError):
        return None
