"""``alpacakit plugins``: what is installed, what it offers, and which options it has."""

from __future__ import annotations

import json
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out, table
from alpaca_core.cli.options import json_option, plugin_host
from alpaca_core.cli.plugins_check import check
from alpaca_core.cli.plugins_new import new
from alpaca_core.errors import MissingError
from alpaca_core.plugins import KINDS, Plugin, PluginHost, suggestion
from alpaca_core.settings import options_of
from alpaca_core.specs import Spec


@click.group()
def plugins() -> None:
    """List and explain plugins and what they offer.

    \b
    alpacakit plugins list --kind teacher
    alpacakit plugins show openai
    """


plugins.add_command(check)
plugins.add_command(new)


@plugins.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only what plugins offer of this kind.")
@json_option
@click.pass_context
def list_(ctx: click.Context, kind: str | None, as_json: bool) -> None:
    """List plugins with their status, or all components of one kind.

    \b
    alpacakit plugins list
    alpacakit plugins list --kind filter
    """
    host = plugin_host(ctx, quiet=True)
    if as_json:
        emit_json([_plugin(plugin, kind) for plugin in host.plugins])
    elif kind:
        table(
            ["name", "from", "ready", "summary"],
            [
                (spec.name, host.owner(spec).distribution, _ready(spec), spec.summary)
                for spec in sorted(host.specs(kind), key=lambda spec: spec.name)  # type: ignore[arg-type]
            ],
        )
    else:
        rows = [(p.name, p.distribution, p.version, p.status, p.error or _offers(p)) for p in host.plugins]
        table(["plugin", "from", "version", "status", "offers"], rows)


@plugins.command()
@click.argument("name")
@json_option
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Explain what NAME is: a plugin, a component, or both. A component is shown with its options.

    \b
    alpacakit plugins show rouge
    alpacakit plugins show alpacakit-parrot --json
    """
    host = plugin_host(ctx, quiet=True)
    distribution, _, short = name.rpartition(":")
    found = [plugin for plugin in host.plugins if plugin.answers_to(name)]
    specs = [
        spec for spec in host.specs() if spec.name == short and distribution in ("", host.owner(spec).distribution)
    ]
    if not found and not specs:
        names = {spec.name for spec in host.specs()} | {plugin.name for plugin in host.plugins}
        raise MissingError(
            f"no plugin or component is called '{name}'.{suggestion(name, names)}", hint="See: alpacakit plugins list"
        )
    if as_json:
        emit_json(
            {"plugins": [_plugin(plugin) for plugin in found], "components": [_component(spec, host) for spec in specs]}
        )
        return
    blocks = [_plugin_lines(plugin) for plugin in found] + [_component_lines(spec, host) for spec in specs]
    out("\n\n".join("\n".join(lines) for lines in blocks))


def _offers(plugin: Plugin) -> str:
    kinds = {spec.kind: [other.name for other in plugin.specs if other.kind == spec.kind] for spec in plugin.specs}
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items())


def _ready(spec: Spec) -> str:
    return "yes" if not spec.missing() else f"pip install '{spec.extra or spec.missing()[0]}'"


def _plugin(plugin: Plugin, kind: str | None = None) -> dict[str, Any]:
    """A plugin in JSON. Keys are stable: they are only ever added to."""
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "bundled": plugin.bundled,
        "status": plugin.status,
        "error": plugin.error,
        "module": plugin.module,
        "load_ms": round(plugin.load_ms, 1),
        "components": [_brief(spec) for spec in plugin.specs if kind in (None, spec.kind)],
    }


def _brief(spec: Spec) -> dict[str, Any]:
    missing = list(spec.missing())
    return {
        "kind": spec.kind,
        "name": spec.name,
        "summary": spec.summary,
        "extra": spec.extra,
        "ready": not missing,
        "missing": missing,
    }


def _component(spec: Spec, host: PluginHost) -> dict[str, Any]:
    owner = host.owner(spec)
    return {
        **_brief(spec),
        "plugin": owner.name,
        "distribution": owner.distribution,
        "target": spec.target,
        "keys": list(getattr(spec, "keys", ())),
        "asks": getattr(spec, "asks", False),
        "chain": [{"filter": name, "options": dict(options)} for name, options in getattr(spec, "chain", ())],
        "defaults": dict(spec.defaults),
        "options": [vars(option) for option in options_of(spec.options)],
    }


def _plugin_lines(plugin: Plugin) -> list[str]:
    lines = [
        f"plugin {plugin.name}: {plugin.status}",
        f"  from     {plugin.distribution} {plugin.version}",
        f"  module   {plugin.module}",
    ]
    return [*lines, f"  error    {plugin.error}"] if plugin.error else [*lines, f"  offers   {_offers(plugin)}"]


def _component_lines(spec: Spec, host: PluginHost) -> list[str]:
    about = _component(spec, host)
    facts = {
        "from": f"{about['distribution']} {host.owner(spec).version}, plugin {about['plugin']}",
        "class": spec.target,
        "asks": "the teacher" if about["asks"] else "",
        "chain": " > ".join(member["filter"] for member in about["chain"]),
        "needs": f"{', '.join(spec.requires)}: {_ready(spec).replace('yes', 'installed')}" if spec.requires else "",
        "key": " or ".join(about["keys"]),
        "sets": ", ".join(f"{key}={_text(value)}" for key, value in spec.defaults.items()),
    }
    lines = [f"{spec.kind} {spec.name}: {spec.summary}", *(f"  {key:<8} {text}" for key, text in facts.items() if text)]
    options = options_of(spec.options)
    if options:
        where = f"filter.{spec.name}" if spec.kind == "filter" else spec.kind.replace("-", "_")
        lines.append(f"  options, in [{where}] or with --set {where}.KEY=VALUE:")
        names, types = max(len(o.name) for o in options), max(len(o.type) for o in options)
        lines += [
            f"    {o.name:<{names}}  {o.type:<{types}}  {o.help} (default: {_text(o.default)})".rstrip()
            for o in options
        ]
    return lines


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return "none" if value is None else value if isinstance(value, str) and value else json.dumps(value, default=str)
