"""What OpenAI's response headers say about waiting."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from alpaca_core import Limits


def limits_in(headers: Mapping[str, str]) -> Limits | None:
    """The ``x-ratelimit-*`` headers, or None where there is none of them."""

    def count(name: str) -> int | None:
        value = headers.get(f"x-ratelimit-{name}", "")
        return int(value) if value.isdecimal() else None

    limits = Limits(
        requests=count("limit-requests"),
        requests_left=count("remaining-requests"),
        tokens=count("limit-tokens"),
        tokens_left=count("remaining-tokens"),
    )
    return None if limits == Limits() else limits


def retry_after_in(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: ``retry-after-ms``, or else ``retry-after`` as seconds or as a date (RFC 9110, 10.2.3)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
            return float(value) * unit
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except ValueError:
        return None
