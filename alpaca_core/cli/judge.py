"""The dataset filters of a command that filters a file, and the teacher that they ask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alpaca_core.errors import ConfigError
from alpaca_core.judging import Chain, Judgement

if TYPE_CHECKING:
    from alpaca_core.config import Config

Select = Callable[[list[Judgement]], list[Judgement]]


def selecting(config: Config, chain: Chain, file: Path, told: dict[str, Any]) -> Select | None:
    """What has the dataset filters of ``chain`` judge rows; None where it has none. Its summary is put into ``told``.

    Answers are kept beside ``file``, from the first question on. A teacher is looked for, and its key, at once. Raises
    ConfigError where none was named, MissingError for what it lacks.
    """
    if not chain.selectors:
        return None
    from alpaca_core.cli.progress import Screen
    from alpaca_core.pipeline import make_teacher
    from alpaca_core.selection import Selection, asks, journal_beside, select_rows

    judge = None
    if asks(config):
        if config.values["teacher.name"].source == "default":  # which writes practice data, and judges nothing
            names = ", ".join(chosen.name for chosen in config.filters if getattr(chosen.spec, "asks", False))
            raise ConfigError(f"The filter '{names}' asks a teacher.", hint="Name one, such as --teacher openai")
        judge = make_teacher(config)

    def select(rows: list[Judgement]) -> list[Judgement]:
        with ExitStack() as stack:
            selection = Selection(chain, stack.enter_context(journal_beside(file)) if judge else None)
            screen = stack.enter_context(Screen())
            screen.stage("select")
            chosen = select_rows(rows, selection, config, judge, on_progress=screen.selecting, on_note=screen.note)
            told.update(selection.summary())
            return chosen

    return select
