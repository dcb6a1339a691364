"""How a teacher is talked to by all who ask it in this process: one pace, one introduction, one memory of its ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from alpaca_core.pacing import Pacer
from alpaca_core.protocols import Teacher
from alpaca_core.settings import Generation
from alpaca_core.store import Store


class Contact:
    """To be made in the event loop that the requests run in. What is learnt is kept in ``store`` for the next start."""

    def __init__(self, teacher: Teacher, store: Store, settings: Generation, on_note: Callable[[str], None]) -> None:
        self.pacer = Pacer(
            settings.concurrency,
            max_rpm=settings.max_rpm,
            max_tpm=settings.max_tpm,
            first_alone=not getattr(teacher, "local", False),
        )
        self._teacher = teacher
        self._store = store
        self._on_note = on_note
        self._prepared = False
        self._learnt: dict[str, Any] = {}  # as stored
        if hasattr(teacher, "learnt"):
            self._learnt = json.loads(store.get("learnt") or "{}")
            teacher.learnt.update(self._learnt)

    async def prepare(self) -> None:
        """To be called before the first request: tells what is missing, and what the teacher itself has to say."""
        if self._prepared:
            return
        self._prepared = True
        if hasattr(self._teacher, "check"):
            self._teacher.check()
        if hasattr(self._teacher, "prepare"):
            for note in await self._teacher.prepare():
                self._on_note(note)

    def remember(self) -> None:
        """Store and tell what the teacher has learnt about its model since the last time, and its other remarks."""
        while notes := getattr(self._teacher, "notes", None):
            self._on_note(notes.pop(0))
        learnt = getattr(self._teacher, "learnt", self._learnt)
        if learnt == self._learnt:
            return
        for name, value in learnt.items():
            if name not in self._learnt or self._learnt[name] != value:
                instead = "it is left out" if value is None else f"{value} is sent in its place"
                self._on_note(f"The model does not take {name} as set: {instead}.")
        self._learnt = dict(learnt)
        self._store.set("learnt", json.dumps(self._learnt))
