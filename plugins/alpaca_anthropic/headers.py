"""What Anthropic's response headers say about waiting."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from alpaca_core import Limits


def limits_in(headers: Mapping[str, str]) -> Limits | None:
    """The ``anthropic-ratelimit-*`` headers, or None where there is none of them."""

    def count(name: str) -> int | None:
        value = headers.get(f"anthropic-ratelimit-{name}", "")
        return int(value) if value.isdecimal() else None

    limits = Limits(
        requests=count("requests-limit"),
        requests_left=count("requests-remaining"),
        tokens=count("tokens-limit"),
        tokens_left=count("tokens-remaining"),
        input_tokens=count("input-tokens-limit"),
        input_tokens_left=count("input-tokens-remaining"),
        output_tokens=count("output-tokens-limit"),
        output_tokens_left=count("output-tokens-remaining"),
    )
    return None if limits == Limits() else limits


def retry_after_in(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: ``retry-after`` as a number or as a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_at_server(headers))
    except ValueError:
        return None


def now_at_server(headers: Mapping[str, str]) -> float:
    """Seconds since the epoch by the server's clock, which its dates are by; ours may differ."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return time.time()
