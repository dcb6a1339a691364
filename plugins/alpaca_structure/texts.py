"""What the filters share: the look of program text, word lists in patterns, and a text shortened for a reason."""

from __future__ import annotations

import re

from alpaca_core import Example


class Rule:
    """A filter without memory."""

    def kept(self, example: Example) -> None:
        pass


def any_of(words: str) -> str:
    """A group of a pattern that matches any of ``words``: patterns parted by white space, with "_" for a blank."""
    return "(?:" + "|".join(words.split()).replace("_", " ") + ")"


_TAGS = any_of("html head body div table tr td p ul li form input button script style svg canvas h[1-6] a br span")
# One sign in a text is enough to tell it from prose, in any common language.
_CODE = re.compile(
    r"```"
    r"|^[ \t]*(?:def |class |import |from \w+ import |#include|function |public |private |const |let |var |<\?|<!DOC)"
    r"|^[ \t]*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\b"
    r"|[;{}][ \t]*$"
    r"|^[ \t]*(?:return|print|printf|END|end|endif|FUNCTION)\b[ \t]*(?:$|[\w(\"'])"
    rf"|</?{_TAGS}\b[^>\n]{{0,200}}>"
    r"|\b\w{1,40}\([^()\n]{0,80}\)[ \t]*[:;{]?[ \t]*$"
    r"|^[ \t]*(?:for|while|if|elif)\b[^\n]{1,120}[:{][ \t]*$",
    re.MULTILINE,
)


def is_code(text: str) -> bool:
    """Whether there is program text or markup in ``text``. A guess, meant for telling it from prose."""
    return _CODE.search(text) is not None


def short(text: str, most: int = 40) -> str:
    """``text`` on one line in quotes, at most ``most`` characters of it."""
    line = " ".join(text[: 4 * most].split())
    return f"'{line}'" if len(line) <= most else f"'{line[: most - 1]}…'"
