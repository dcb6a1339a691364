"""``alpacakit serve``: OpenAI's own client, curl, and a crowd talk to a process that serves a small model."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import local_models
import pytest
from alpaca_templates.alpaca import AlpacaTemplate

from alpaca_core import Example
from alpaca_core.cli.main import main
from alpaca_core.serving import is_loopback, turned_away

openai = pytest.importorskip("openai")
Request = pytest.importorskip("starlette.requests").Request
pytestmark = pytest.mark.timeout(120)
KEY = "sk-of-this-test"
INSTRUCTION, INPUT = "Put these in order.", "reed, oak, ivy"
ASKED = [{"role": "user", "content": INSTRUCTION, "input": INPUT}]
CALM = {"temperature": 0, "max_tokens": 40}


@dataclass
class Server:
    port: int
    process: subprocess.Popen

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def call(self, path: str, body=None, method: str = "", **headers: str):
        """Status, headers and JSON of a plain HTTP call. ``body`` is sent as it is where it is bytes."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        given = {"Authorization": f"Bearer {KEY}"} | {name.title(): value for name, value in headers.items()}
        line.request(method or ("GET" if body is None else "POST"), path, data, given)
        reply = line.getresponse()
        return reply.status, reply.headers, json.loads(reply.read())

    def answers(self) -> int:
        return self.call("/health")[2]["answers"]

    def wait_for(self, answers: int) -> None:
        until = time.monotonic() + 30
        while self.answers() != answers:
            assert time.monotonic() < until, self.answers()
            time.sleep(0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return local_models.talker(tmp_path_factory.mktemp("small") / "talker")


@pytest.fixture(scope="module")
def server(folder) -> Iterator[Server]:
    command = [sys.executable, "-m", "alpaca_core", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "ALPACAKIT_SERVE_KEY": KEY, "NO_COLOR": "1"}
    )
    said = ""
    while not (found := re.search(r"talker is served on http://127.0.0.1:(\d+)/v1", said)):
        line = process.stderr.readline()
        assert line, said
        said += line
    yield Server(int(found[1]), process)
    process.send_signal(signal.SIGTERM)  # if it is there still
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0, rest
    assert "Traceback" not in said + rest and rest.endswith("Ended.\n")


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0)


# ── OpenAI's client ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chat_is_the_same_whole_and_streamed(client):
    whole = client.chat.completions.create(model="talker", messages=ASKED, **CALM)
    assert whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 40
    assert whole.choices[0].message.role == "assistant" and whole.choices[0].message.content
    events = list(
        client.chat.completions.create(
            model="talker", messages=ASKED, stream=True, stream_options={"include_usage": True}, **CALM
        )
    )
    pieces = [event.choices[0] for event in events[:-1]]
    assert len(pieces) > 5, "it comes as it is written"
    assert "".join(piece.delta.content or "" for piece in pieces) == whole.choices[0].message.content
    assert [piece.finish_reason for piece in pieces] == [None] * (len(pieces) - 1) + ["length"]
    assert events[-1].choices == [] and events[-1].usage == whole.usage


def test_a_completion_is_the_same_whole_and_streamed(client):
    whole = client.completions.create(model="talker", prompt="The river", **CALM)
    events = list(client.completions.create(model="talker", prompt="The river", stream=True, **CALM))
    assert "".join(event.choices[0].text for event in events) == whole.choices[0].text != ""
    assert events[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert client.completions.create(model="talker", prompt="The river").usage.completion_tokens == 16


def test_the_models_are_listed_and_known_by_folder_path_and_alias(client, folder):
    assert [model.id for model in client.models.list()] == ["talker", "alpacakit"]
    assert client.models.retrieve("talker").owned_by == "alpacakit"
    for name in ("talker", "alpacakit", str(folder)):
        assert client.chat.completions.create(model=name, messages=ASKED, max_tokens=1).model == name
    with pytest.raises(openai.NotFoundError, match="'talker' or 'alpacakit'"):
        client.chat.completions.create(model="gpt-4o", messages=ASKED)


def test_without_the_key_nobody_is_answered(server):
    with pytest.raises(openai.AuthenticationError, match="API key is missing or wrong"):
        openai.OpenAI(base_url=server.url, api_key="sk-another", max_retries=0).models.list()
    assert server.call("/health", authorization="")[0] == 200


@pytest.mark.parametrize(
    ("host", "origin", "let_in"),
    [
        ("10.0.0.2:8000", None, True),
        ("10.0.0.2:8000", "http://10.0.0.2:3000", True),
        ("10.0.0.2:8000", "https://attacker.example", False),
        ("10.0.0.2:8000", "null", False),
        ("10.0.0.2:8000", "http://[", False),
    ],
)
def test_other_machines_are_let_in_but_not_the_pages_of_other_sites(host, origin, let_in):
    sent = [(name, value.encode()) for name, value in ((b"host", host), (b"origin", origin)) if value]
    request = Request({"type": "http", "method": "GET", "path": "/v1/models", "query_string": b"", "headers": sent})
    assert (turned_away(request, "", loopback=False) is None) == let_in


def test_a_key_may_have_any_letters():
    for key in ("schlüssel", "مفتاح", "\udcff"):
        sent = [(b"authorization", b"Bearer " + os.fsencode(key))]
        request = Request({"type": "http", "method": "GET", "path": "/v1/models", "query_string": b"", "headers": sent})
        assert turned_away(request, key, True) is None and turned_away(request, f"{key}s", True).status == 401


def test_stop_strings_several_choices_and_seeds(client):
    def ask(**how):
        return client.chat.completions.create(model="talker", messages=ASKED, **{**CALM, **how})

    whole = ask().choices[0].message.content
    stop = whole[len(whole) // 2 :][:2]
    stopped = ask(stop=["never there", stop])
    assert stopped.choices[0].message.content == whole.partition(stop)[0]
    assert stopped.choices[0].finish_reason == "stop" and stopped.usage.completion_tokens < 40
    pieces = list(ask(stop=[stop], stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.partition(stop)[0]
    three = ask(n=3, seed=5, temperature=1)
    texts = [choice.message.content for choice in three.choices]
    assert len(set(texts)) == 3 and three.usage.prompt_tokens == stopped.usage.prompt_tokens
    assert [choice.message.content for choice in ask(n=3, seed=5, temperature=1).choices] == texts
    streamed = ["", "", ""]
    for event in ask(n=3, seed=5, temperature=1, stream=True):
        streamed[event.choices[0].index] += event.choices[0].delta.content or ""
    assert streamed == texts


# ── the Alpaca form ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_prompt_in_the_alpaca_form_gives_the_same_tokens_as_chat(client, folder, capsys):
    prompt = AlpacaTemplate().prompt(Example(INSTRUCTION, INPUT, ""))
    completion = client.completions.create(model="talker", prompt=prompt, **CALM)
    chat = client.chat.completions.create(model="talker", messages=ASKED, **CALM)
    assert chat.choices[0].message.content == completion.choices[0].text
    assert chat.usage == completion.usage
    assert main(["chat", str(folder), "--prompt", INSTRUCTION, "--input", INPUT, "--max-tokens", "40"]) == 0
    assert capsys.readouterr().out == completion.choices[0].text.strip() + "\n"


def test_the_input_reaches_the_template_in_each_of_its_ways(client):
    def ask(messages, **how):
        reply = client.chat.completions.create(model="talker", messages=messages, **CALM, **how)
        return reply.choices[0].message.content, reply.usage.prompt_tokens

    parts = [{"type": "text", "text": INSTRUCTION}, {"type": "input", "text": INPUT}]
    with_input = ask(ASKED)
    assert ask([{"role": "user", "content": parts}]) == with_input
    assert ask([{"role": "user", "content": INSTRUCTION}], extra_body={"input": INPUT}) == with_input
    assert ask([{"role": "user", "content": INSTRUCTION}])[1] < with_input[1]


# ── curl ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl_is_answered_whole_and_streamed(server):
    def curl(**body) -> str:
        body = {"model": "alpacakit", "messages": ASKED, **CALM, **body}
        command = ["curl", "-sSN", f"{server.url}/chat/completions", "-H", f"Authorization: Bearer {KEY}"]
        return subprocess.run([*command, "-d", json.dumps(body)], capture_output=True, check=True).stdout.decode()

    whole = json.loads(curl())["choices"][0]["message"]["content"]
    *events, done, rest = curl(stream=True).split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    deltas = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in events]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == whole


# ── a crowd ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fifty_clients_at_once_are_all_answered_as_if_each_were_alone(server, client):
    def body(k: int) -> dict:
        said = " ".join(f"word{i}" for i in range(1 + k % 9))
        how = {"temperature": 0} if k % 2 else {"temperature": 1, "seed": k}
        return {"model": "talker", "messages": [{"role": "user", "content": said}], "max_tokens": 5 + k, **how}

    async def crowd() -> list[str]:
        async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0) as many:

            async def one(k: int) -> str:
                if k % 3:
                    return (await many.chat.completions.create(**body(k))).choices[0].message.content
                stream = await many.chat.completions.create(**body(k), stream=True)
                return "".join([event.choices[0].delta.content or "" async for event in stream])

            return await asyncio.gather(*map(one, range(50)))

    texts = asyncio.run(crowd())
    for k in range(0, 50, 7):
        assert client.chat.completions.create(**body(k)).choices[0].message.content == texts[k]
    assert len(set(texts)) > 40


def test_a_client_that_hangs_up_frees_its_place(server):
    for stream in (True, False):
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"messages": ASKED, "max_tokens": 1900, "n": 16, "temperature": 1, "stream": stream}
        line.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {KEY}"})
        if stream:
            line.getresponse().read(100)
        server.wait_for(16)
        line.sock.shutdown(socket.SHUT_RDWR)
        line.close()
        server.wait_for(0)


def test_a_client_that_hangs_up_within_its_body_is_no_error(server):
    """The fixture looks for tracebacks at the end."""
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}"
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(f"{head}\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert server.answers() == 0


def test_more_than_it_can_hold_are_told_to_come_again(server):
    def ask() -> None:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"prompt": ["The river"] * 16, "n": 15, "max_tokens": 1900, "temperature": 1}
        line.request("POST", "/v1/completions", json.dumps(body), {"Authorization": f"Bearer {KEY}"})
        lines.append(line)

    lines: list[http.client.HTTPConnection] = []
    for asked in range(1, 5):
        ask()
        server.wait_for(240 * asked)
    status, headers, body = server.call("/v1/completions", {"prompt": ["The river"] * 16, "n": 15})
    assert (status, body["error"]["type"]) == (503, "server_error") and int(headers["Retry-After"]) > 0
    for line in lines:
        line.sock.shutdown(socket.SHUT_RDWR)
        line.close()
    server.wait_for(0)
    assert server.call("/v1/completions", {"prompt": "The river"})[0] == 200


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────

SAID = [{"role": "user", "content": "word"}]
WRONG = {
    "messages": [{}, {"messages": []}, {"messages": "word"}],
    "messages[0]": [{"messages": ["word"]}, {"messages": [{"role": "assistant", "content": "a", "input": "b"}]}],
    "messages[0].role": [{"messages": [{"role": "tool", "content": "word"}]}],
    "messages[0].content": [
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"messages": [{"role": "user", "content": [{"type": ["text"], "text": "word"}]}]},
    ],
    "temperature": [{"temperature": value} for value in (-1, 2.5, "hot", True, float("nan"), 10**400)],
    "top_p": [{"top_p": 0}, {"top_p": 1.5}],
    "max_tokens": [{"max_tokens": 0}, {"max_tokens": 1.5}],
    "n": [{"n": 0}, {"n": 17}],
    "stop": [{"stop": ""}, {"stop": ["a", 1]}],
    "seed": [{"seed": "x"}],
    "stream": [{"stream": "yes"}],
    "stream_options": [{"stream_options": {"include_usage": True}}],
    "tools": [{"tools": [{"type": "function", "function": {"name": "f"}}]}],
    "response_format": [{"response_format": {"type": "json_object"}}],
    "logprobs": [{"logprobs": True}],
    "temprature": [{"temprature": 1}],
}


@pytest.mark.parametrize("param", WRONG)
def test_a_wrong_body_is_refused_with_the_name_of_the_field(server, param):
    for wrong in WRONG[param]:
        body = wrong if "messages" in param else {"messages": SAID, **wrong}
        status, _, reply = server.call("/v1/chat/completions", body)
        assert (status, reply["error"]["param"]) == (400, param), reply
        assert reply["error"]["type"] == "invalid_request_error" and reply["error"]["message"]


def test_what_asks_for_nothing_is_taken(server):
    harmless = {
        "tools": [],
        "response_format": {"type": "text"},
        "presence_penalty": 0,
        "logprobs": False,
        "user": "me",
    }
    body = {"messages": SAID, "max_tokens": 1, "stop": None, "metadata": {"a": "b"}, "parallel_tool_calls": True}
    assert server.call("/v1/chat/completions", {**body, **harmless})[0] == 200


def test_what_is_no_request_is_refused_in_the_same_form(server):
    chat = "/v1/chat/completions"
    wrong = {
        400: [
            (chat, b"{"),
            (chat, b"[1]"),
            (chat, b"\xff"),
            (chat, b"[" * 100_000),
            ("/v1/completions", {"prompt": [1]}),
        ],
        404: [("/v1/embeddings", {}), ("/", None), ("/v1/models/none", None)],
        405: [(chat, None), ("/v1/models", {})],
        413: [(chat, b" " * (8 * 2**20 + 1))],
    }
    for expected, calls in wrong.items():
        for path, body in calls:
            status, _, reply = server.call(path, body)
            assert status == expected and reply["error"]["message"], (path, reply)
    long = {"messages": [{"role": "user", "content": "word " * 3000}]}
    for stream in (False, True):
        status, _, reply = server.call(chat, {**long, "stream": stream})
        assert status == 400 and reply["error"]["code"] == "context_length_exceeded"


def test_the_page_of_another_site_is_not_let_in(server):
    strange = ({"host": "attacker.example"}, {"host": "["}, {"origin": "https://attacker.example"})
    for header in (*strange, {"origin": "null"}, {"origin": "http://["}):
        status, headers, reply = server.call("/v1/models", **header)
        assert status == 403 and "localhost only" in reply["error"]["message"]
        assert not any(name.lower().startswith("access-control") for name in headers)
    for header in ({"host": "localhost:1"}, {"host": "[::1]"}, {"origin": "http://localhost:3000"}):
        assert server.call("/v1/models", **header)[0] == 200
    assert [is_loopback(name) for name in ("127.8.8.8", "::1", "a.localhost", "0.0.0.0", "localhost.example")] == [
        *(True, True, True, False, False)
    ]


# ── starting ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_port_that_is_taken_and_a_model_that_is_none_are_told(server, folder, tmp_path, capsys):
    assert main(["serve", str(folder), "--port", str(server.port)]) == 2
    assert "--port 0" in capsys.readouterr().err
    assert main(["serve", str(tmp_path), "--port", "0"]) == 2
    assert "no config.json" in capsys.readouterr().err


def test_without_its_packages_it_says_how_to_get_them(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert main(["serve", str(folder)]) == 3
    assert "pip install 'alpacakit[web]'" in capsys.readouterr().err


def test_whoever_opens_it_to_other_machines_is_told_so():
    from alpaca_core.cli.serve import reach

    assert reach("127.0.0.1", "") == []
    assert "0.0.0.0" in reach("0.0.0.0", "")[0] and "ALPACAKIT_SERVE_KEY" in reach("0.0.0.0", "")[1]
    assert len(reach("0.0.0.0", KEY)) == 1


def test_answers_that_are_being_written_end_before_the_server_does(server):
    """The last test: it ends the server."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = {"messages": SAID, "max_tokens": 150, "temperature": 0, "stream": True}
    line.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {KEY}"})
    reply = line.getresponse()
    begun = reply.read(50)
    server.process.send_signal(signal.SIGINT)
    assert (begun + reply.read()).endswith(b"data: [DONE]\n\n")
    assert server.process.wait(timeout=30) == 0
