"""``alpacakit plugins check``: whether a plugin keeps the laws of the conformance kit."""

from __future__ import annotations

import click

from alpaca_core.cli.console import emit_json, out, say
from alpaca_core.cli.options import json_option, plugin_host
from alpaca_core.errors import ConfigError


@click.command()
@click.argument("target", metavar="PATH|DIST|NAME")
@click.option("--slow", is_flag=True, help="Train a tiny student with a trainer, break it off and go on.")
@click.option("--student", metavar="PATH", help="The student that --slow trains (default: new:tiny).")
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="An option to build with. Repeatable.")
@json_option
@click.pass_context
def check(
    ctx: click.Context, target: str, slow: bool, student: str | None, sets: tuple[str, ...], as_json: bool
) -> int:
    """Try whether a plugin keeps the laws that every plugin keeps. Exit code 1: it does not.

    PATH is the folder of its sources, or a file with one; DIST or NAME is of an installed one. No provider is asked.

    \b
    alpacakit plugins check ./alpacakit-polite
    alpacakit plugins check parrot --set teacher.replies=replies.jsonl
    """
    from alpaca_core.testing.findings import tried
    from alpaca_core.testing.kit import STUDENT, checks

    options = {}
    for text in sets:
        key, given, value = text.partition("=")
        if not given:
            raise ConfigError(f"--set {text}: expected KEY=VALUE.", hint="Such as --set teacher.replies=replies.jsonl")
        options[key.strip()] = value
    host = plugin_host(ctx, quiet=True)
    found = tried(checks(target, options, slow=slow, student=student or STUDENT, host=host))
    failed = sum(finding.outcome == "failed" for finding in found)
    if as_json:
        emit_json(
            {
                "target": target,
                "passed": not failed,
                "checks": [
                    {"subject": f.subject, "check": f.law, "outcome": f.outcome, "detail": f.detail, "todo": f.todo}
                    for f in found
                ],
            }
        )
        return 1 if failed else 0
    for subject in dict.fromkeys(finding.subject for finding in found):
        out(subject)
        for finding in (finding for finding in found if finding.subject == subject):
            out(f"  {finding.outcome:<14}  {finding.law}{f': {finding.detail}' if finding.detail else ''}")
            if finding.todo:
                out(f"  {'':<14}  {finding.todo}")
    passed = sum(finding.outcome == "passed" for finding in found)
    say(f"{passed} passed, {failed} failed, {len(found) - passed - failed} not applicable")
    return 1 if failed else 0
