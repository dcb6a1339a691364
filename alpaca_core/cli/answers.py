"""Answers on the terminal as they are written: whole words, one after the other or side by side."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

HELD = 40  # characters of a word: a longer one is shown in parts
WIDE = 100  # columns of a terminal on which two answers stand side by side
BETWEEN = " │ "


class Words:
    """Text that grows, given on word by word and without white space around it.

    Letters of many scripts change their shape with the next one, so half a word would flicker. Scripts that leave no
    space between words are given on by the character, where they are wide, and otherwise in short runs.
    """

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain  # for a terminal, which control characters would confuse
        self._held = ""
        self._begun = False

    def add(self, text: str) -> str:
        """What can be shown now that ``text`` follows."""
        if self._plain:
            text = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc")
        self._held += text
        if not self._begun:
            self._held = self._held.lstrip()
        end = len(self._held)
        while end and len(self._held) - end < HELD and not _ends_word(self._held[end - 1]):
            end -= 1
        if len(self._held) - end == HELD:
            end = len(self._held)
        return self._take(len(self._held[:end].rstrip()))

    def rest(self) -> str:
        """What was held back, now that nothing follows."""
        return self._take(len(self._held.rstrip()))

    def _take(self, count: int) -> str:
        shown, self._held = self._held[:count], self._held[count:]
        self._begun = self._begun or bool(shown)
        return shown


def _ends_word(char: str) -> bool:
    return char.isspace() or unicodedata.east_asian_width(char) in "WF"


class Stream:
    """One answer, written to stdout as it comes."""

    def __init__(self) -> None:
        self._words = Words(plain=sys.stdout.isatty())

    def add(self, place: int, text: str) -> None:
        """More of the answer."""
        _write(self._words.add(text))

    def end(self, place: int) -> None:
        """No more of it."""
        _write(self._words.rest() + "\n")


class Wrapped:
    """Text that grows, in lines of at most ``width`` cells: ``lines`` are complete, ``line`` may still grow. Broken
    between words where that can be."""

    def __init__(self, width: int) -> None:
        self.lines: list[str] = []
        self.line = ""
        self._width = width

    def add(self, text: str) -> None:
        """``text`` follows."""
        from rich.cells import cell_len

        for char in text.expandtabs(4):
            if char != "\n" and cell_len(self.line) + cell_len(char) <= self._width:
                self.line += char
                continue
            head, _, tail = self.line.rpartition(" ")
            if char in " \n":
                head, tail, char = self.line, "", ""
            elif not head.strip():
                head, tail = self.line, ""
            self.lines.append(head)
            self.line = tail + char

    def end(self) -> None:
        """Nothing follows."""
        self.lines.append(self.line)


class Columns:
    """Several answers side by side under their names, in ``width`` columns in all: a line is written when it is known
    of each of them."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        self._width = (width - len(BETWEEN) * (len(names) - 1)) // len(names)
        self._words = [Words(plain=True) for _ in names]
        self._texts = [Wrapped(self._width) for _ in names]
        self._going = set(range(len(names)))
        self._written = 0
        self._line([_cut(name, self._width) for name in names])
        _write("┼".join("─" * (self._width + 1 + (0 < i < len(names) - 1)) for i in range(len(names))) + "\n")

    def add(self, place: int, text: str) -> None:
        """More of the answer in column ``place``."""
        self._texts[place].add(self._words[place].add(text))
        self._show()

    def end(self, place: int) -> None:
        """No more of it."""
        self._texts[place].add(self._words[place].rest())
        self._texts[place].end()
        self._going.discard(place)
        self._show()

    def _show(self) -> None:
        known = [len(text.lines) for text in self._texts]
        until = min((known[place] for place in self._going), default=max(known))
        for i in range(self._written, until):
            self._line([text.lines[i] if i < len(text.lines) else "" for text in self._texts])
        self._written = max(self._written, until)

    def _line(self, cells: Sequence[str]) -> None:
        from rich.cells import cell_len

        padded = [cell + " " * (self._width - cell_len(cell)) for cell in cells]
        _write(BETWEEN.join(padded).rstrip() + "\n")


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else "…" + name[1 - width :]


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
