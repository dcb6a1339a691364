"""``alpacakit serve``: a local model over HTTP, in the form of OpenAI's API."""

from __future__ import annotations

import os

import click

from alpaca_core.cli.console import say
from alpaca_core.cli.options import plugin_host

KEY = "ALPACAKIT_SERVE_KEY"


@click.command()
@click.argument("model")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0: a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0: for all machines.")
@click.pass_context
def serve(ctx: click.Context, model: str, port: int, host: str) -> None:
    """Serve MODEL, a folder or hub id, to clients of OpenAI's API, until Ctrl-C.

    /v1/chat/completions and /v1/completions, whole and streamed, /v1/models and /health. Where ALPACAKIT_SERVE_KEY is
    set, clients have to send it as their API key.

    \b
    alpacakit serve runs/practice/model --port 8000
    """
    import asyncio
    from importlib.util import find_spec

    from alpaca_core.errors import MissingError
    from alpaca_core.serving import listening, names_of, serve
    from alpaca_core.talking import open_talker

    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise MissingError("serve needs starlette and uvicorn.", hint="pip install 'alpacakit[web]'")
    key = os.environ.get(KEY, "")
    with listening(host, port) as bound:
        talker = open_talker(plugin_host(ctx), model)
        if prepare := getattr(talker, "prepare", None):
            for note in asyncio.run(prepare()):
                say(note, dim=True)
        address, port = bound.getsockname()[:2]
        for line in reach(address, key):
            say(line)
        names = names_of(model)
        name = f"[{address}]" if ":" in address else address
        say(f"{names[0]} is served on http://{name}:{port}/v1; Ctrl-C ends.")
        serve(talker, names, bound, key=key)
        say("Ended.")


def reach(address: str, key: str) -> list[str]:
    """What to know when others than this machine's own programs can reach ``address``."""
    from alpaca_core.serving import is_loopback

    if is_loopback(address):
        return []
    who = f"Whoever can reach {address} can use the model" + (" with the key." if key else ".")
    return [who] if key else [who, f"Set {KEY} to ask clients for a key, or leave --host out to keep to this machine."]
