"""The configuration of a run: chosen components, their options and the core's own settings, checked all at once.

For each key the strongest source wins: flag or ``--set``, ``ALPACAKIT_*`` variable, ``--config`` file,
``alpacakit.toml`` in the working folder, what a chosen component recommends, the core's default. Components are chosen
first, then their options are read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from alpaca_core.errors import AlpacaError, ConfigError, MissingError
from alpaca_core.plugins import BUNDLED, PluginHost, suggestion
from alpaca_core.settings import TABLES, Evaluation, Generation, default_of, is_secret, shown
from alpaca_core.sources import MEND, KeyPath, Layer, Setting, dotted, path_of, read_file, read_layers
from alpaca_core.specs import Kind, Spec
from alpaca_core.validation import NONE, build, unsayable

__all__ = [
    *("PIPELINE", "STAGES", "Chosen", "Config", "Evaluation", "Generation", "Stage", "Value"),
    *("load_config", "to_toml"),
]

Stage = Literal["teacher", "prompt", "filters", "chat_template", "trainer", "judge"]
#: What ``run`` goes through, and all that a configuration may hold.
PIPELINE: frozenset[Stage] = frozenset({"teacher", "prompt", "filters", "chat_template", "trainer"})
STAGES: frozenset[Stage] = PIPELINE | {"judge"}

#: The tables that choose a component, in the order of choice: the first one's recommendations win.
_KINDS: Mapping[str, Kind] = {
    "teacher": "teacher",
    "trainer": "trainer",
    "prompt": "prompt",
    "chat_template": "chat-template",
    "judge": "judge",
}

#: The tables whose component may be left out, as ``none``.
_OPTIONAL = ("trainer", "judge")


@dataclass(frozen=True)
class Chosen:
    """A component with its validated options; None where its spec has none. ``name`` is as it was asked for."""

    name: str
    spec: Spec
    options: Any | None

    def build(self) -> Any:
        """The component. Imports what it needs; raises MissingError when that is not installed."""
        component = self.spec.load()
        return component() if self.options is None else component(self.options)


@dataclass(frozen=True)
class Value:
    """The value of a key and where it came from: a flag, a variable, ``file:line``, a component, or ``default``."""

    value: Any
    source: str


@dataclass(frozen=True)
class Config:
    """Everything that a run is told. A component is None where the command does not need it (``trainer`` and ``judge``
    also where they are ``none``). ``values`` has the same by dotted key, with sources; ``notes`` tells of settings that
    are not used."""

    seed: int
    generation: Generation
    evaluation: Evaluation
    teacher: Chosen | None
    price_input: float | None
    price_output: float | None
    prompt: Chosen | None
    filters: tuple[Chosen, ...]
    chat_template: Chosen | None
    trainer: Chosen | None
    judge: Chosen | None
    student: str
    values: Mapping[str, Value] = field(compare=False, repr=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def chosen(self) -> list[Chosen]:
        """All components of this run."""
        parts = (self.teacher, self.prompt, *self.filters, self.chat_template, self.trainer, self.judge)
        return [part for part in parts if part is not None]


def load_config(
    host: PluginHost,
    *,
    flags: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    file: Path | None = None,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    needs: frozenset[Stage] = STAGES,
) -> Config:
    """Read and check the configuration.

    ``flags`` are values by dotted key (None: not given; text is read like that of ``--set``), ``sets`` items
    ``KEY=VALUE``, ``file`` what ``--config`` names, ``folder`` where ``alpacakit.toml`` is looked for and flags' file
    names start from (default: the working folder), ``environ`` the environment (default: this process's). Components
    outside ``needs`` are neither looked up nor checked; a filter or judge that asks needs the teacher.

    Raises ConfigError with every mistake there is; MissingError if all that is wrong is that no plugin offers a name.
    """
    folder = Path(folder or ".")
    layers = read_layers(flags or {}, sets, file, folder, os.environ if environ is None else environ)
    return _Reading(host, layers, needs, folder, _inherited(layers)).config()


#: What is not taken over from the run that ``--from`` names: how far that one was to go.
_NOT_INHERITED = ("num_examples", "budget", "sources", "batch")


def _inherited(layers: Sequence[Layer]) -> list[Layer]:
    """The settings of the first run whose replies are taken over: they hold where nothing else is asked for."""
    path = ("generation", "sources")
    folders = next((_value(path, layer[path]) for layer in layers if path in layer), None)
    if not folders:
        return []
    problems: list[str] = []
    file = Path(folders[0]) / "run.toml"
    layer = read_file(file, problems) if file.is_file() else {}  # it may go once its replies are taken over
    if problems:
        hint = "Name the folder of an earlier run: --from DIR"
        raise ConfigError(f"{folders[0]} holds no run to take over:", problems=problems, hint=hint)
    for name in _NOT_INHERITED:
        layer.pop(("generation", name), None)
    layer[("generation", "num_examples")] = Setting(NONE, "--from", Path(folders[0]))
    return [layer]


@dataclass
class _Reading:
    """One reading of the configuration: the sources so far, and what was found wrong."""

    host: PluginHost
    user: list[Layer]
    needs: frozenset[Stage]
    folder: Path
    recommended: list[Layer] = field(default_factory=list)  # by the chosen components, the first chosen first
    known: set[KeyPath] = field(default_factory=set)
    values: dict[str, Value] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    missing: list[AlpacaError] = field(default_factory=list)

    def config(self) -> Config:
        """Choose, read, and see what is left over; then raise all that is wrong together."""
        picked = {table: self._choose(table) for table in _KINDS}
        chain = self._chain() if "filters" in self.needs else []
        asking = [spec for _, spec in (*chain, *filter(None, [picked["judge"]])) if getattr(spec, "asks", False)]
        if "teacher" not in self.needs and asking:
            self.needs |= {"teacher"}
            picked["teacher"] = self._choose("teacher")
        core = {
            table: cls() if table in _KINDS and table not in self.needs else self._read((table,) if table else (), cls)
            for table, cls in TABLES.items()
        }
        parts = {table: pick and self._chosen((table,), *pick) for table, pick in picked.items()}
        filters = tuple(self._chosen(("filter", spec.name), name, spec) for name, spec in chain)
        notes = self._leftovers(picked, [spec.name for _, spec in chain])
        self._raise_problems()
        return Config(
            seed=core[""].seed,
            generation=core["generation"],
            evaluation=core["evaluation"],
            price_input=core["teacher"].price_input,
            price_output=core["teacher"].price_output,
            student=core["trainer"].student,
            filters=filters,
            values=self.values,
            notes=tuple(notes),
            **parts,
        )

    def _raise_problems(self) -> None:
        hint = self.missing[0].hint if self.missing else MEND
        if self.problems or any(isinstance(error, ConfigError) for error in self.missing):
            problems = [*self.problems, *(error.message for error in self.missing)]
            raise ConfigError("the configuration is wrong:", problems=problems, hint=hint)
        if self.missing:
            raise MissingError("\n".join(error.message for error in self.missing), hint=hint)

    # ── choosing components ──

    def _find(self, path: KeyPath) -> Setting | None:
        return next((layer[path] for layer in (*self.user, *self.recommended) if path in layer), None)

    def _first(self, path: KeyPath) -> tuple[Any, Setting | None]:
        """One key of the core, before its table is read as a whole; None where it is wrong, which is said then."""
        found = self._find(path)
        return _value(path, found), found

    def _choose(self, table: str) -> tuple[str, Spec] | None:
        """The component of one table, as it was called; None where there is none."""
        if table not in self.needs:
            return None
        name, found = self._first((table, "name"))
        if name is None or (table in _OPTIONAL and name == NONE):
            return None
        spec = self._lookup(_KINDS[table], name, found)
        if spec is None:
            return None
        self._disinherit(table, name)
        self._recommend(spec.defaults, f"{spec.kind} '{spec.name}'")
        return name, spec

    def _disinherit(self, table: str, name: str) -> None:
        """Drop the options of another component, and the price of another model, from what a run leaves to this one."""
        model = (table, "model")
        for layer in self.recommended[:1]:
            inherited = layer.get((table, "name"))
            if inherited is None:
                continue
            other_model = model in layer and (found := self._find(model)) and found.value != layer[model].value
            for path in [path for path in layer if path[0] == table]:
                if inherited.value != name or (other_model and path[1].startswith("price_")):
                    del layer[path]  # type: ignore[attr-defined]

    def _chain(self) -> list[tuple[str, Spec]]:
        """The filters in their order, as they were called, with chains unfolded."""
        names, found = self._first(("generation", "filters"))
        chain: list[tuple[str, Spec]] = []
        for name in names or ():
            if spec := self._lookup("filter", name, found):
                self._unfold(name, spec, (), chain)
        for spec_name in [spec.name for _, spec in chain]:
            if sum(spec.name == spec_name for _, spec in chain) > 1:
                problem = f"generation.filters: filter '{spec_name}' is more than once in {', '.join(names)}"
                self.problems += [problem] if problem not in self.problems else []
        return chain

    def _unfold(self, name: str, spec: Spec, above: tuple[str, ...], chain: list[tuple[str, Spec]]) -> None:
        self._recommend(spec.defaults, f"filter '{spec.name}'")
        members = getattr(spec, "chain", ())
        if not members:
            chain.append((name, spec))
        if members and spec.name in above:
            self.problems.append(f"filter chain '{spec.name}' contains itself: {' > '.join((*above, spec.name))}")
            return
        for member, options in members:
            # A chain means its own distribution's filters, whatever others call theirs.
            found = self._lookup("filter", member, None, prefer=self.host.owner(spec).distribution)
            if found is not None:
                defaults = {f"filter.{found.name}.{key}": value for key, value in options.items()}
                self._recommend(defaults, f"chain '{spec.name}'")
                self._unfold(member, found, (*above, spec.name), chain)

    def _lookup(self, kind: Kind, name: str, found: Setting | None, prefer: str = BUNDLED) -> Spec | None:
        # A name that no user typed does not become ambiguous because some plugin was installed.
        typed = any(found is setting for layer in self.user for setting in layer.values())
        try:
            return self.host.find(kind, name, prefer="" if typed else prefer)
        except AlpacaError as exc:
            place = f"{found.source}: " if found else ""
            self.missing.append(type(exc)(place + exc.message, hint=exc.hint))
            return None

    def _recommend(self, defaults: Mapping[str, Any], source: str) -> None:
        layer = {path_of(key): Setting(value, source, self.folder) for key, value in defaults.items()}
        self.recommended.append(layer)

    # ── reading options ──

    def _chosen(self, table: KeyPath, name: str, spec: Spec) -> Chosen:
        options = self._read(table, spec.options) if spec.options else None
        self._recommend(getattr(options, "recommends", {}), f"{spec.kind} '{name}'")
        return Chosen(name, spec, options)

    def _read(self, table: KeyPath, cls: type) -> Any:
        """An instance of ``cls`` from all sources; None, with problems noted, where a value is wrong."""
        names = [item.name for item in fields(cls) if item.init]
        settings = {name: found for name in names if (found := self._find((*table, name)))}
        for item in fields(cls):
            if item.name not in settings and isinstance(default_of(item), Path):  # becomes absolute like any other
                settings[item.name] = Setting(str(default_of(item)), "default", self.folder)
        self.known |= {(*table, name) for name in names}
        instance, problems = build(cls, settings, dotted(table))
        self.problems += problems
        for name in names if instance is not None else ():
            source = settings[name].source if name in settings else "default"
            self.values[dotted((*table, name))] = Value(getattr(instance, name), source)
        return instance

    # ── what was set and not read ──

    def _leftovers(self, picked: Mapping[str, Any], chain: Sequence[str]) -> list[str]:
        """Problems for keys that mean nothing here; notes on those that a stronger source has put out of use."""
        notes = []
        stages = {"filter" if stage == "filters" else stage for stage in STAGES}
        unused = stages - {"filter" if stage == "filters" else stage for stage in self.needs}
        absent = {table for table, pick in picked.items() if pick is None}  # trainer none, or a name not found
        for layer in self.user:
            for path, setting in layer.items():
                table = path[0] if len(path) > 1 else ""
                place = f"{dotted(path)} ({setting.source})"
                choice = ("generation", "filters") if table == "filter" else (table, "name")
                if path in self.known:
                    continue
                if table in unused or table in absent:
                    if table in unused and layer is self.user[0]:
                        self.problems.append(f"{place}: this command has no use for [{table}]")
                elif table in stages and self._outvoted(layer, choice):
                    notes.append(f"{place} is not used: another {table} was chosen")
                elif table == "filter" and path[1] not in chain:
                    self.problems.append(
                        f"{place}: filter '{path[1]}' is not in the chain ({', '.join(chain) or 'none'})."
                        f"{suggestion(path[1], chain) or f' Add it with --filter {path[1]}.'}"
                    )
                else:
                    self.problems.append(f"{place}: {self._unknown(path, picked)}")
        return notes

    def _outvoted(self, layer: Layer, path: KeyPath) -> bool:
        """Whether ``layer`` chooses a component, and a stronger source another."""
        return path in layer and _value(path, layer[path]) != _value(path, self._find(path))

    def _unknown(self, path: KeyPath, picked: Mapping[str, tuple[str, Spec] | None]) -> str:
        pick = picked.get(path[0])
        text = f"{pick[1].kind} '{pick[0]}' has no option '{path[-1]}'." if pick and path[1:] else "unknown key."
        if is_secret(path[-1]):
            variables = getattr(pick[1], "keys", ()) if pick else ()
            variable = f"the environment variable {variables[0]}" if variables else "the environment"
            return f"{text} A key belongs into {variable}, never into a configuration."
        beside = [key for key in sorted(self.known) if key[:-1] == path[:-1]]
        same = [dotted(key) for key in sorted(self.known) if key[-1] == path[-1]]
        if close := suggestion(path[-1], [key[-1] for key in beside]):
            return text + close
        if same:
            return f"{text} Did you mean '{same[0]}'?"
        return text + ("" if beside else suggestion(dotted(path), map(dotted, self.known)))


def _value(path: KeyPath, setting: Setting | None) -> Any:
    """What ``setting`` means for one key of the core, or that key's default; None where it is wrong."""
    table, name = path
    instance, _ = build(TABLES[table], {name: setting} if setting else {}, table)
    return getattr(instance, name, None)


def to_toml(config: Config) -> str:
    """The resolved configuration as TOML: every key that was read, in a fixed order. Loads back to the same Config.

    Left out are passwords in addresses, values whose key says that they are secret, and a None that would be read as
    the value "none".
    """
    names = {kind: table for table, kind in _KINDS.items()}
    unsaid = {
        dotted((*(("filter", part.name) if part.spec.kind == "filter" else (names[part.spec.kind],)), option))
        for part in config.chosen()
        for option in (unsayable(part.options) if part.options is not None else ())
    }
    tables: dict[KeyPath, list[str]] = {}
    for key, item in config.values.items():
        path = path_of(key)
        if not is_secret(key) and key not in unsaid:
            tables.setdefault(path[:-1], []).append(f"{path[-1]} = {toml_value(shown(key, item.value))}")
    blocks = ["\n".join([*([toml_header(table)] if table else []), *lines]) for table, lines in tables.items()]
    return "\n\n".join(blocks) + "\n"


def toml_header(table: KeyPath) -> str:
    """``[filter.no-shouting]``, with quotes where a name needs them."""
    return f"[{'.'.join(part if re.fullmatch(r'[A-Za-z0-9_-]+', part) else toml_value(part) for part in table)}]"


def toml_value(value: Any) -> str:
    """``value`` in TOML. None, which TOML lacks, is written as "none"."""
    if value is None:
        return f'"{NONE}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{toml_value(str(key))} = {toml_value(item)}' for key, item in value.items())}}}"
    # A TOML string is a JSON string, but for one control character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
