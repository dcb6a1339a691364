"""``alpacakit chat``: on a terminal, through a pipe, with one model or two."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import time
from collections.abc import Iterator

import local_models
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alpaca_core.cli.answers import Columns, Words, Wrapped
from alpaca_core.cli.main import main
from alpaca_core.talking import Conversation

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return local_models.talker(tmp_path_factory.mktemp("talker"))


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────

parts = st.lists(st.text(st.sampled_from("ab é\n\tبحر山🐪") | st.characters(), max_size=5))


@given(parts)
@example(["  the", " camel", "s  ", "", "\n\n ", "السما", "ء جميلة", "  \n"])
def test_words_are_the_text_without_white_space_around_it(said):
    words = Words(plain=False)
    shown = [words.add(part) for part in said]
    assert "".join([*shown, words.rest()]) == "".join(said).strip()


def test_half_a_word_waits_for_its_other_half_but_not_for_ever():
    words = Words(plain=False)
    assert [words.add(part) for part in ("The cam", "el", "s rest. ", "السما", "ء ", "山の")] == [
        *("The", "", " camels rest.", "", " السماء", " 山の"),
    ]
    assert Words(plain=False).add("x" * 100) == "x" * 100


def test_what_would_steer_the_terminal_is_left_out():
    assert Words(plain=True).add("\x1b[31mred\x07\x9b \n") == "[31mred"
    assert Words(plain=False).add("\x1b[31mred\x07 \n") == "\x1b[31mred\x07"


@given(parts, st.integers(2, 12))
def test_lines_fit_their_column_and_hold_every_letter(said, width):
    from rich.cells import cell_len

    text = Wrapped(width)
    for part in said:
        before = list(text.lines)
        text.add(part)
        assert text.lines[: len(before)] == before, "a line that is complete stays as it is"
    text.end()
    assert all(cell_len(line) <= width for line in text.lines)
    assert "".join("".join(text.lines).split()) == "".join("".join(said).split())


def test_two_answers_stand_side_by_side_line_by_line(capsys):
    columns = Columns(["tuned", "a/very/long/name/of/a/base"], 33)
    columns.add(0, "one two three four ")
    columns.add(1, "1 ")
    head = "tuned           │ …name/of/a/base\n────────────────┼────────────────\n"
    assert capsys.readouterr().out == head, "no line is known of both"
    columns.add(1, "2\n3 ")
    columns.end(1)
    assert capsys.readouterr().out == "one two three   │ 1 2\n"
    columns.end(0)
    assert capsys.readouterr().out == "four            │ 3\n"


# ── once, and through a pipe ──────────────────────────────────────────────────────────────────────────────────────


def test_a_conversation_shows_what_was_said_only_where_it_is_to_be_remembered():
    talk = Conversation(None, system="Be brief.")
    first = talk.question("Name one.", "oak, ivy")
    talk.said(first, "Oak.")
    assert [message["role"] for message in talk.question("Another?").messages] == ["system", "user"]
    talk.remember = True
    system, one, two, three = talk.question("Another?", max_tokens=3).messages
    assert (one["input"], two["content"], three) == ("oak, ivy", "Oak.", {"role": "user", "content": "Another?"})


def test_each_line_of_a_pipe_is_an_instruction_of_its_own(folder, capsys, monkeypatch):
    def ask(*words: str) -> str:
        assert main(["chat", str(folder), "--max-tokens", "12", *words]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return said.out

    alone = [ask("--prompt", prompt) for prompt in ("The mill.", "/new boats")]
    assert alone[0] != alone[1]
    monkeypatch.setattr("sys.stdin", io.StringIO("The mill.\n\n/new boats\nThe mill."))
    assert ask() == alone[0] + alone[1] + alone[0]


@pytest.mark.parametrize("way", ["flag", "pipe", "pipe in UTF-8"])
def test_bytes_that_are_no_text_are_refused(folder, capsys, monkeypatch, way):
    prompt = ["--prompt", "caf\udce9"] if way == "flag" else []
    errors = "strict" if way == "pipe in UTF-8" else "surrogateescape"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), "utf-8", errors))
    assert main(["chat", str(folder), *prompt]) == 2
    assert "no UTF-8 text: see its character 4" in capsys.readouterr().err


def test_two_models_answer_under_their_names(folder, tmp_path, capsys):
    other = local_models.babbler(tmp_path / "base")
    words = ["--prompt", "word1 word2", "--max-tokens", "9"]
    assert main(["chat", str(folder), *words]) == main(["chat", str(other), *words]) == 0
    alone = capsys.readouterr().out
    assert main(["chat", str(folder), "--beside", str(other), *words]) == 0
    labelled = capsys.readouterr().out
    assert labelled.startswith(f"── {folder}\n") and f"── {other}\n" in labelled
    assert labelled.replace(f"── {folder}\n", "").replace(f"── {other}\n", "") == alone


def test_system_and_temperature_reach_the_model(folder, capsys):
    def ask(*words: str) -> str:
        assert main(["chat", str(folder), "--prompt", "The mill.", "--max-tokens", "12", *words]) == 0
        return capsys.readouterr().out

    assert ask() == ask() != ask("--system", "You write of rivers.")
    assert ask("--temperature", "1.5") != ask("--temperature", "1.5")


# ── on a terminal ─────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal:
    """A process on a terminal of its own, 120 columns wide."""

    def __init__(self, *words: str) -> None:
        import fcntl
        import pty
        import struct
        import termios

        command = [sys.executable, "-m", "alpaca_core", *words]
        pid, self.fd = pty.fork()
        if not pid:
            os.environ.update(NO_COLOR="1", TERM="dumb")
            os.execv(command[0], command)
        self.pid, self.seen = pid, ""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def read(self, until: str, again: str = "") -> str:
        """What is shown up to ``until``, which is not kept. ``again`` is typed now and then meanwhile."""
        end = time.monotonic() + 60
        while until not in self.seen:
            assert time.monotonic() < end, self.seen
            if not select.select([self.fd], [], [], 0.3)[0]:
                self.type(again)
            else:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace").replace("\r\n", "\n")
                except OSError:  # it has ended
                    raise AssertionError(self.seen) from None
        shown, _, self.seen = self.seen.partition(until)
        return shown

    def end(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal(folder) -> Iterator[Terminal]:
    opened = Terminal("chat", str(folder), "--max-tokens", "1900")
    yield opened
    try:
        os.kill(opened.pid, signal.SIGKILL)
        os.waitpid(opened.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    os.close(opened.fd)


def test_on_a_terminal_words_come_as_they_are_written_and_ctrl_c_stops_the_answer_only(terminal):
    assert "/help" in terminal.read("> ")
    terminal.type("The river carries the boats.\n")
    terminal.read("boats.\n")
    while len(terminal.read(" ").strip()) < 1:
        pass
    terminal.type("\x03")  # long before 1,900 tokens are written
    terminal.read("(stopped)\n> ")
    terminal.type("/help\n")
    assert "forget what was said" in terminal.read("never a command.\n> ")
    # At the prompt readline misses a Ctrl-C that comes just as the prompt is shown.
    terminal.read("Ctrl-D ends.\n> ", again="\x03")
    terminal.type("/nonsense\n")
    terminal.read("no command /nonsense")
    terminal.read("> ")
    terminal.type("/input\none line\n\nanother\n.\n")
    terminal.read("single dot:")
    terminal.read("> ")
    terminal.type("/new\n")
    terminal.read("Forgotten.\n> ")
    terminal.type("\x04")
    assert terminal.end() == 0
