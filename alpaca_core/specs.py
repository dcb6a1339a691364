"""Specs: what a plugin offers, said without importing what it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

from alpaca_core.errors import MissingError

Kind = Literal["teacher", "prompt", "filter", "chat-template", "trainer", "judge"]

_NAME = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The part that all kinds share.

    ``name`` is what users type. ``target`` is ``package.module:Class``, imported on first use. ``summary`` is one line.
    ``extra`` is what to pip-install when one of the packages named in ``requires`` is missing. ``options`` is a frozen
    dataclass whose fields carry their help text in ``field(metadata={"help": ...})``. ``defaults`` are configuration
    values that this component recommends, by dotted key; everything that a user sets wins over them. A property
    ``recommends`` of the options does the same for the filters' options, where it depends on what was set.
    """

    kind: ClassVar[Kind]

    name: str
    target: str
    summary: str
    extra: str | None = None
    requires: tuple[str, ...] = ()
    options: type | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.kind} name {self.name!r} must be lower-case words joined by '-'")
        if self.target and not _TARGET.fullmatch(self.target):
            raise ValueError(f"{self.kind} {self.name!r}: target {self.target!r} is not 'package.module:Class'")
        if self.options is not None and not (isinstance(self.options, type) and is_dataclass(self.options)):
            raise ValueError(f"{self.kind} {self.name!r}: options must be a dataclass")

    def missing(self) -> tuple[str, ...]:
        """The packages of ``requires`` that are not installed, found without importing any."""
        return tuple(package for package in self.requires if not _is_there(package))

    def require(self) -> None:
        """Raise MissingError, with the pip line that helps, when a package of ``requires`` is not installed."""
        for package in self.missing():
            raise self._not_installed(package)

    def load(self) -> Any:
        """Import and return the target. Raises MissingError when one of the packages it needs is not installed."""
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ImportError as exc:
            # Only a package outside the plugin is "not installed"; anything else is a bug of the plugin's own.
            missing = (exc.name or "").partition(".")[0]
            if not missing or missing == module.partition(".")[0] or not isinstance(exc, ModuleNotFoundError):
                raise
            raise self._not_installed(missing) from exc

    def _not_installed(self, package: str) -> MissingError:
        return MissingError(
            f"{self.kind} '{self.name}' needs the package '{package}', which is not installed.",
            hint=f"Install it with: pip install '{self.extra or package}'",
        )


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


@dataclass(frozen=True, kw_only=True)
class TeacherSpec(Spec):
    """A teacher. ``keys`` are the environment variables of which one must hold the provider's key. ``notice`` is
    stamped on all that comes of its answers, for a teacher that is not what people expect of one. ``terms`` is what has
    to be known before its answers are shared: for cards, as facts to check."""

    kind: ClassVar[Kind] = "teacher"
    keys: tuple[str, ...] = ()
    notice: str = ""
    terms: str = ""


@dataclass(frozen=True, kw_only=True)
class PromptSpec(Spec):
    """A teacher-side prompt."""

    kind: ClassVar[Kind] = "prompt"


@dataclass(frozen=True, kw_only=True)
class FilterSpec(Spec):
    """A filter, or a chain: an ordered tuple of (filter name, its options) under one name, without a target.

    ``asks`` says that it is a ``DatasetFilter`` which asks the teacher.
    """

    kind: ClassVar[Kind] = "filter"
    target: str = ""
    chain: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    asks: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.target) == bool(self.chain):
            raise ValueError(f"filter {self.name!r} needs a target or a chain, and not both")


@dataclass(frozen=True, kw_only=True)
class ChatTemplateSpec(Spec):
    """A student-side chat template."""

    kind: ClassVar[Kind] = "chat-template"


@dataclass(frozen=True, kw_only=True)
class TrainerSpec(Spec):
    """A trainer."""

    kind: ClassVar[Kind] = "trainer"


@dataclass(frozen=True, kw_only=True)
class JudgeSpec(Spec):
    """A judge. ``asks`` says that it asks the teacher."""

    kind: ClassVar[Kind] = "judge"
    asks: bool = False
