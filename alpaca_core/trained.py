"""What the files around a trained model tell of it: its base, its chat template, rows to try it with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alpaca_core.dataset import read_rows
from alpaca_core.errors import ConfigError
from alpaca_core.evaluate import Scores
from alpaca_core.plugins import PluginHost
from alpaca_core.protocols import ChatTemplate
from alpaca_core.runs import DATA, HELDOUT, read_summary

STAMP = "alpacakit.json"  # the trainer's, in the model's folder: what it was made of, and with


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, and where its run or training left things: ``base`` (empty: not known), ``heldout`` (None: there is
    none), ``adapter`` (None: it has none beside it), ``outputs`` of the training rows, ``floor`` (the scores of the
    most frequent answers on the held-out rows). ``template`` names the chat template's class, with its options."""

    model: str
    base: str = ""
    heldout: Path | None = None
    adapter: Path | None = None
    outputs: Sequence[str] = ()
    floor: Scores | None = None
    template: str = ""
    template_options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str) -> Trained:
        """``name`` is a run folder or the ``--out`` of a training, a model's folder, or a hub id. Raises ConfigError
        for a folder that has begun to be one of these and holds no model."""
        folder = Path(name).expanduser()
        if not folder.is_dir():
            return cls(name)
        model = next((at for at in (folder, folder / "model", folder / "adapter") if _is_model(at)), None)
        if model is None:
            if not (folder / DATA).exists():
                return cls(name)  # whoever opens it says what is missing
            raise ConfigError(
                f"{folder} holds no model yet.", hint=f"Train one: alpacakit train {folder} --out DIR, or alpacakit run"
            )
        place = folder.absolute()  # "." has neither name nor parent
        home = folder if model != folder else place.parent if place.name in ("model", "adapter") else None
        stamp = _stamp(model)
        result, identity = stamp.get("result") or {}, stamp.get("identity") or {}
        known = cls(
            model=str(model),
            base=_there(home / "student" if home else None, str(result.get("base") or "")),
            template=identity.get("template") or "",
            template_options=identity.get("template_options") or {},
        )
        return known if home is None else known._with(home)

    def _with(self, home: Path) -> Trained:
        from dataclasses import replace

        adapter, data = home / "adapter", home / DATA
        baselines = (read_summary(home).get("evaluation") or {}).get("baselines") or {}
        floor = baselines.get("most_frequent")
        return replace(
            self,
            heldout=home / HELDOUT if (home / HELDOUT).is_file() else None,
            adapter=adapter if _is_model(adapter) and str(adapter) != self.model else None,
            outputs=[row.output for row in read_rows(data)] if data.is_file() else (),
            floor=Scores.from_dict(floor) if floor else None,
        )

    def chat_template(self, host: PluginHost) -> ChatTemplate | None:
        """The chat template of the training; None where it is not known, or its plugin is not here."""
        spec = next((spec for spec in host.specs("chat-template") if spec.target == self.template), None)
        if spec is None:
            return None
        made: ChatTemplate = spec.load()(spec.options(**self.template_options)) if spec.options else spec.load()()
        return made


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def _stamp(model: Path) -> dict[str, Any]:
    try:
        found = json.loads((model / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _there(student: Path | None, base: str) -> str:
    """The base: the student made beside the model, else as its training called it, unless that was a folder that is
    not there any more."""
    if student is not None and _is_model(student):
        return str(student)
    gone = Path(base).is_absolute() and not Path(base).exists()
    return "" if gone else base
