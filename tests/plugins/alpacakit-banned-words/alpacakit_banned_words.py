"""A filter that rejects rows with words of a list: one word or phrase a line, ``#`` begins a remark."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from alpaca_core import Candidate, ConfigError, Example, FilterSpec, Keep, Reject, Verdict, hookimpl


@dataclass(frozen=True)
class BannedWordsOptions:
    file: Path | None = field(default=None, metadata={"help": "The list, a text file with a word or phrase a line."})
    look_in: Literal["row", "output"] = field(
        default="row", metadata={"help": "Where the words must not be: anywhere in the row, or in its output."}
    )


class BannedWords:
    def __init__(self, options: BannedWordsOptions) -> None:
        if options.file is None:
            raise ConfigError(
                "The filter 'banned-words' needs its list.", hint="Name it: --set filter.banned-words.file=words.txt"
            )
        words = read_words(options.file)
        # The longest first, so that the reason names "go to hell" and not "go".
        known = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)).replace(r"\ ", r"\s+")
        self.pattern = re.compile(rf"(?<!\w)(?:{known})(?!\w)", re.IGNORECASE)
        self.output_only = options.look_in == "output"

    def judge(self, candidate: Candidate) -> Verdict:
        fields = {"instruction": candidate.instruction, "input": candidate.input, "output": candidate.output}
        for name, text in fields.items():
            if (not self.output_only or name == "output") and (found := self.pattern.search(text)):
                return Reject(f"the {name} holds {found[0]!r}")
        return Keep()

    def kept(self, example: Example) -> None:
        pass


def read_words(file: Path) -> list[str]:
    """The words in ``file``. Raises ConfigError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"the list of banned words {file} cannot be read: {exc}") from exc
    words = [" ".join(line.partition("#")[0].split()) for line in lines]
    words = list(dict.fromkeys(word for word in words if word))
    if not words:
        raise ConfigError(f"{file} holds no word.", hint="Write one word or phrase a line.")
    return words


@hookimpl
def alpaca_filters() -> Iterable[FilterSpec]:
    return [
        FilterSpec(
            name="banned-words",
            target="alpacakit_banned_words:BannedWords",
            summary="Rejects rows with words of a list.",
            options=BannedWordsOptions,
        )
    ]
