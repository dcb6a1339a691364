"""The teacher that dataset filters ask, for commands that filter a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alpaca_core.errors import ConfigError
from alpaca_core.judging import Chain, Judgement

if TYPE_CHECKING:
    from alpaca_core.config import Config
    from alpaca_core.selection import Selection

Select = Callable[[list[Judgement]], list[Judgement]]


@contextmanager
def selecting(config: Config, chain: Chain, file: Path) -> Iterator[tuple[Select | None, Selection | None]]:
    """What has the dataset filters of ``chain`` judge rows, and the record of it; nothing where it has none.

    Answers are kept beside ``file``. A teacher is looked for, and its key, before anything is done. Raises ConfigError
    where none was named, MissingError for what it lacks.
    """
    if not chain.selectors:
        yield None, None
        return
    from alpaca_core.cli.progress import Screen
    from alpaca_core.pipeline import make_teacher
    from alpaca_core.selection import Selection, asks, journal_beside, select_rows

    judge = None
    if asks(config):
        if config.values["teacher.name"].source == "default":  # which writes practice data, and judges nothing
            names = ", ".join(chosen.name for chosen in config.filters if getattr(chosen.spec, "asks", False))
            raise ConfigError(f"The filter '{names}' asks a teacher.", hint="Name one, such as --teacher openai")
        judge = make_teacher(config)
    with ExitStack() as stack:
        journal = stack.enter_context(journal_beside(file)) if judge else None
        selection = Selection(chain, journal)

        def select(rows: list[Judgement]) -> list[Judgement]:
            with Screen() as screen:
                screen.stage("select")
                return select_rows(rows, selection, config, judge, on_progress=screen.selecting, on_note=screen.note)

        yield select, selection
