"""The text of an answer as it grows, token by token."""

from __future__ import annotations

from collections.abc import Callable, Sequence

WINDOW = 32  # tokens that are decoded again with a new one
KEPT = 8  # of those, how many stay at least when the window is full: what a token looks like depends on those before it


class Text:
    """Makes pieces of text of tokens. They hold whole characters only, and nothing from a stop string on.

    ``decode`` makes text of tokens. Together the pieces are what it makes of all of them, up to the first of the
    strings ``stop``; ``stopped`` says that one was found.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._decode = decode
        self._stop = stop
        self._window: list[int] = []
        self._seen = ""  # the text of the window, as far as it was taken
        self._held = ""  # may be the start of a stop string

    def add(self, token: int) -> str:
        """What can be told after one more token."""
        self._window.append(token)
        text = self._decode(self._window)
        if text.endswith("\ufffd"):  # the first bytes of a character
            return ""
        new, self._seen = text[len(self._seen) :], text
        if len(self._window) >= WINDOW:
            self._shorten()
        return self._before_stop(new)

    def rest(self) -> str:
        """What was held back, now that no token follows."""
        if self.stopped:
            return ""
        text = self._before_stop(self._decode(self._window)[len(self._seen) :])
        self._window, self._seen = [], ""
        return text + self._held

    def _shorten(self) -> None:
        """Let the window begin later, where a character begins: what follows then looks as it did."""
        for kept in range(KEPT, KEPT + 4):  # a character has four bytes at most, each maybe a token
            seen = self._decode(self._window[-kept:])
            if seen and "\ufffd" not in seen and self._seen.endswith(seen):
                self._window, self._seen = self._window[-kept:], seen
                return

    def _before_stop(self, new: str) -> str:
        text = self._held + new
        places = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` are the start of ``stop``."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0)
