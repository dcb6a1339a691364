"""The page of ``alpacakit view``, served on loopback to whoever holds its address, and to nobody else.

A random token is the first part of every path. Requests with another host name (a page of another site that has its
name point here) or from another origin are refused, and the page may load and send nothing elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from alpaca_core.errors import AlpacaError, ConfigError, MissingError, Stopped
from alpaca_core.marks import summary_of
from alpaca_core.view.browsing import Browser, Query, terms

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LOOPBACK = "127.0.0.1"
_ASSETS = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
}
_MOST_ROWS = 200  # in one answer
_LARGEST = 16_000_000  # bytes of a mark
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def application(browser: Browser, port: int, token: str) -> Any:
    """The ASGI application that serves ``browser`` at ``http://127.0.0.1:PORT/TOKEN/``."""
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    def asset(name: str, kind: str) -> Callable[[Request], Any]:
        async def answer(_: Request) -> Response:
            return Response((files("alpaca_core.view") / name).read_bytes(), media_type=kind)

        return answer

    def answering(work: Callable[[Browser, Any], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                given = await _body(request) if request.method == "POST" else request.query_params
                status, found = 200, work(browser, given)
            except AlpacaError as exc:
                status, found = 400, {"error": exc.message}
            except OSError as exc:  # a folder that cannot be written to, a full disk
                status, found = 500, {"error": f"{exc.filename}: {exc.strerror}"}
            return Response(json.dumps(found), status, media_type="application/json")

        return answer

    routes = [Route(f"/{token}/{path}", asset(*about)) for path, about in _ASSETS.items()]
    routes += [Route(f"/{token}/api/{work.__name__[1:]}", answering(work)) for work in (_facets, _rows, _row)]
    routes += [Route(f"/{token}/api/mark", answering(_mark), methods=["POST"])]
    return _guarded(Starlette(routes=routes), {f"{name}:{port}" for name in (LOOPBACK, "localhost")}, token)


def _guarded(inner: Any, hosts: set[str], token: str) -> Any:
    """``inner`` for requests with the token, to one of ``hosts`` and from there; 403 for all others."""
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.responses import Response

    refused = Response("This address needs the token that `alpacakit view` printed.\n", 403, headers=_HEADERS)
    origins = {f"http://{host}" for host in hosts}

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        sent, first = Headers(scope=scope), scope["path"].removeprefix("/").split("/")[0]
        of_here = sent.get("host") in hosts and sent.get("origin", min(origins)) in origins
        if not (of_here and secrets.compare_digest(first.encode(), token.encode())):
            await refused(scope, receive, send)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await inner(scope, receive, sending)

    return guarded


async def _body(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ConfigError("A mark is sent as application/json.")
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST:
                raise ConfigError(f"A mark has {_LARGEST:,} bytes at most.")
    except ClientDisconnect as exc:
        raise ConfigError("The page has hung up.") from exc
    try:
        return json.loads(bytes(body).decode())
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"This is not JSON: {exc}") from exc


def _facets(browser: Browser, _: Any) -> dict[str, Any]:
    browser.refresh()
    return browser.facets()


def _rows(browser: Browser, given: Any) -> dict[str, Any]:
    """Lines ``offset`` to ``offset + limit`` of what a query finds, or of an earlier ``order``, which stays as it was
    while marks are made."""
    names = ("text", "where", "state", "filter", "kind", "label", "mark")
    query = Query(
        **{name: given.get(name, "") for name in names},
        sort=given.get("sort", "place"),
        descending=given.get("descending") == "1",
    )
    name = _number(given, "order")
    found = browser.order(name)
    if found is None:
        name, found = browser.find(query)
    offset, limit = _number(given, "offset"), _number(given, "limit", _MOST_ROWS + 1)
    looked_for = terms(query.text)
    lines = [browser.line(n, looked_for) for n in found[offset : offset + limit]]
    return {"order": name, "total": len(found), "offset": offset, "rows": lines}


def _row(browser: Browser, given: Any) -> dict[str, Any]:
    n = _number(given, "n")
    if n >= len(browser.entries) or browser.entries[n].key != given.get("row"):
        raise ConfigError("The rows have changed since: load the page again.")
    return browser.row(n)


def _mark(browser: Browser, given: Any) -> dict[str, Any]:
    rows = browser.mark(given)
    lines = [browser.line(n, []) for n in rows[:_MOST_ROWS]]
    return {"lines": lines, "row": browser.row(rows[0]), "marks": summary_of(browser.marks)}


def _number(given: Any, name: str, below: int = 1 << 31) -> int:
    value = given.get(name, "0")
    if not (value.isascii() and value.isdecimal() and len(value) < 12 and int(value) < below):
        raise ConfigError("There is no such place:", problems=[f"{name}: {value!r}"])
    return int(value)


def require() -> None:
    """Raises MissingError, with the pip line that helps, where the packages of the page are not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as exc:
        raise MissingError(
            "The page needs the packages 'starlette' and 'uvicorn', which are not installed.",
            hint="Install them with: pip install 'alpacakit[web]'",
        ) from exc


def serve(browser: Browser, listening: socket.socket, token: str) -> None:
    """Serve until SIGINT or SIGTERM, which is how a look through the rows ends."""
    import uvicorn

    config = uvicorn.Config(
        application(browser, listening.getsockname()[1], token),
        **{"access_log": False, "log_config": None, "lifespan": "off", "ws": "none", "server_header": False},
    )
    with contextlib.suppress(KeyboardInterrupt, Stopped):  # uvicorn ends in order, then raises the signal again
        uvicorn.Server(config).run(sockets=[listening])
