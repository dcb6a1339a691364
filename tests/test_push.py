"""``alpacakit export --push``: what huggingface_hub sends to a hub on loopback is the folder, and nothing else."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from alpaca_core.cli.main import main

ROWS = [{"instruction": "Say hello.", "input": "", "output": "Hello."}]


class Hub(ThreadingHTTPServer):
    """Answers as the hub does. ``seen`` has (method, path, token, body) of each request, ``there`` the repositories."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.there = [], set()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        hub = self.server
        hub.seen.append((self.command, self.path, self.headers["Authorization"], body))
        if self.headers["Authorization"] != "Bearer hf_of-a-test":
            return self.reply(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            told = json.loads(body)
            name = f"{told['organization']}/{told['name']}"
            if name in hub.there:
                return self.reply(409, {"error": "You already created this repo"})
            hub.there.add(name)
            kind = "datasets/" if told.get("type") == "dataset" else ""
            return self.reply(200, {"url": f"{hub.url}/{kind}{name}", "name": name})
        if "/preupload/" in self.path:
            how = {"uploadMode": "regular", "shouldIgnore": False}
            return self.reply(200, {"files": [{"path": file["path"], **how} for file in json.loads(body)["files"]]})
        if "/commit/" in self.path:
            return self.reply(
                200, {"commitUrl": f"{hub.url}/datasets/me/rows/commit/{'0' * 40}", "commitOid": "0" * 40}
            )
        return self.reply(200, {"errors": [], "warnings": []})

    def reply(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    with Hub() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for name in ("ENDPOINT", "HF_URL_HOSTS"):
            monkeypatch.setattr(constants, name, server.url if name == "ENDPOINT" else frozenset({"127.0.0.1"}))
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_of-a-test")
        yield server
        server.shutdown()


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(ROWS))
    return file


def test_the_files_of_the_folder_are_sent_and_nothing_else(hub, source, tmp_path, capsys):
    out = tmp_path / "data"
    assert main(["export", str(source), "--out", str(out), "--push", "me/rows", "--private", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pushed"] == f"{hub.url}/datasets/me/rows"
    asked = [path for _, path, *_ in hub.seen]
    assert asked[0] == "/api/repos/create" and json.loads(hub.seen[0][3])["visibility"] == "private"
    assert set(asked[1:]) <= {
        "/api/validate-yaml",  # the card, which is published
        "/api/datasets/me/rows/preupload/main",
        "/api/datasets/me/rows/commit/main",
    }
    lines = [json.loads(line) for *_, body in hub.seen[-1:] for line in body.splitlines()]
    sent = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
    }
    files = (path for path in out.rglob("*") if path.is_file())
    assert sent == {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_a_repository_that_is_there_is_left_alone(hub, source, capsys):
    hub.there.add("me/rows")
    assert main(["export", str(source), "--push", "me/rows"]) == 2
    said = capsys.readouterr().err
    assert "me/rows exists on the hub already" in said and "hf upload me/rows FOLDER --repo-type dataset" in said
    assert [path for _, path, *_ in hub.seen] == ["/api/repos/create"]


def test_a_token_that_is_refused_is_told_with_what_to_type(hub, source, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    assert main(["export", str(source), "--push", "me/rows"]) == 3
    said = capsys.readouterr().err
    assert "hf auth login" in said and "hf_another" not in said


def test_a_dry_run_sends_nothing(hub, source):
    assert main(["export", str(source), "--push", "me/rows", "--dry-run"]) == 0
    assert hub.seen == []
