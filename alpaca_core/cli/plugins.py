"""``alpacakit plugins``: what is installed, what it offers, and which options it has."""

from __future__ import annotations

import json
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out, table
from alpaca_core.cli.installing import install, uninstall
from alpaca_core.cli.options import json_option, plugin_host
from alpaca_core.cli.plugins_check import check
from alpaca_core.cli.plugins_new import new
from alpaca_core.errors import MissingError
from alpaca_core.plugins import KINDS, Plugin, PluginHost, suggestion
from alpaca_core.settings import options_of
from alpaca_core.specs import Spec


@click.group()
def plugins() -> None:
    """List, explain, install, check and write plugins.

    \b
    alpacakit plugins list --kind teacher
    alpacakit plugins show openai
    alpacakit plugins install alpacakit-parrot
    """


for command in (install, uninstall, check, new):
    plugins.add_command(command)


@plugins.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only what plugins offer of this kind.")
@click.option("--times", is_flag=True, help="Show how long each plugin takes to import.")
@click.option(
    "--requirements", is_flag=True, help="Write the lines with which pip installs the same plugins elsewhere."
)
@json_option
@click.pass_context
def list_(ctx: click.Context, kind: str | None, times: bool, requirements: bool, as_json: bool) -> None:
    """List plugins with their status, or all components of one kind.

    A name that several plugins offer is shown as distribution:name, which is what to type for it.

    \b
    alpacakit plugins list
    alpacakit plugins list --kind filter
    alpacakit plugins list --requirements > plugins.txt
    """
    host = plugin_host(ctx, quiet=True)
    if requirements:
        from alpaca_core.installed import requirement_lines

        lines = requirement_lines(host.plugins)
        emit_json(lines) if as_json else out("\n".join(lines))
    elif as_json:
        emit_json([_plugin(plugin, host, kind) for plugin in host.plugins])
    elif kind:
        table(
            ["name", "from", "ready", "summary"],
            [
                (host.called(spec), host.owner(spec).distribution, _ready(spec), spec.summary)
                for spec in sorted(host.specs(kind), key=lambda spec: spec.name)  # type: ignore[arg-type]
            ],
        )
    else:
        headers = ["plugin", "from", "version", "status", *(["import"] if times else []), "offers"]
        table(headers, [_row(plugin, host, times) for plugin in host.plugins])


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
            {
                "plugins": [_plugin(plugin, host) for plugin in found],
                "components": [_component(spec, host) for spec in specs],
            }
        )
        return
    blocks = [_plugin_lines(plugin, host) for plugin in found] + [_component_lines(spec, host) for spec in specs]
    out("\n\n".join("\n".join(lines) for lines in blocks))


def _row(plugin: Plugin, host: PluginHost, times: bool) -> list[str]:
    """A plugin in the table. What is wrong with it stands where its offers would, or behind them."""
    offers = "; ".join([plugin.error or _offers(plugin, host), *plugin.notes])
    time = [f"{plugin.load_ms:,.1f} ms" if plugin.load_ms else ""] if times else []
    return [plugin.name, plugin.distribution, plugin.version, plugin.status, *time, offers]


def _offers(plugin: Plugin, host: PluginHost) -> str:
    kinds = {
        spec.kind: [host.called(other) for other in plugin.specs if other.kind == spec.kind] for spec in plugin.specs
    }
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items())


def _ready(spec: Spec) -> str:
    return "yes" if not spec.missing() else f"pip install '{spec.extra or spec.missing()[0]}'"


def _plugin(plugin: Plugin, host: PluginHost, kind: str | None = None) -> dict[str, Any]:
    """A plugin in JSON. Keys are stable: they are only ever added to."""
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "bundled": plugin.bundled,
        "status": plugin.status,
        "error": plugin.error,
        "notes": list(plugin.notes),
        "module": plugin.module,
        "load_ms": round(plugin.load_ms, 1),
        "components": [_brief(spec, host) for spec in plugin.specs if kind in (None, spec.kind)],
    }


def _brief(spec: Spec, host: PluginHost) -> dict[str, Any]:
    missing = list(spec.missing())
    return {
        "kind": spec.kind,
        "name": spec.name,
        "called": host.called(spec),
        "summary": spec.summary,
        "extra": spec.extra,
        "ready": not missing,
        "missing": missing,
    }


def _component(spec: Spec, host: PluginHost) -> dict[str, Any]:
    owner = host.owner(spec)
    return {
        **_brief(spec, host),
        "plugin": owner.name,
        "distribution": owner.distribution,
        "target": spec.target,
        "keys": list(getattr(spec, "keys", ())),
        "asks": getattr(spec, "asks", False),
        "chain": [{"filter": name, "options": dict(options)} for name, options in getattr(spec, "chain", ())],
        "defaults": dict(spec.defaults),
        "options": [vars(option) for option in options_of(spec.options)],
    }


def _plugin_lines(plugin: Plugin, host: PluginHost) -> list[str]:
    lines = [
        f"plugin {plugin.name}: {plugin.status}",
        f"  from     {plugin.distribution} {plugin.version}",
        f"  module   {plugin.module}",
    ]
    lines.append(f"  error    {plugin.error}" if plugin.error else f"  offers   {_offers(plugin, host)}")
    return lines + [f"  note     {note}" for note in plugin.notes]


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
    lines = [
        f"{spec.kind} {host.called(spec)}: {spec.summary}",
        *(f"  {key:<8} {text}" for key, text in facts.items() if text),
    ]
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
