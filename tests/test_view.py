"""``alpacakit view``: the real command, asked over HTTP; its page driven in a real browser, where there is one."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from browsers import PHONE, browser, console, needs_browser, requests

from alpaca_core.cli.main import main
from alpaca_core.dataset import write_records
from alpaca_core.errors import ConfigError
from alpaca_core.marks import Mark, add_mark, key, read_marks
from alpaca_core.tracing import ROW_LOSSES
from alpaca_core.view.browsing import Browser, Query

SCRIPT = "<script>window.broken = true; document.title = 'broken'</script>"
TURNED = "Pay \u202e0001$\u202c to \u2066nobody\u2069 now\u0007."
LONG = "A very long answer. " * 5_000 + "The end of it."
ESCAPE = "\ue00c"  # as WebDriver spells the key
HOSTILE = [
    {"instruction": SCRIPT, "input": "", "output": f"</textarea></style>{SCRIPT}<img src=x onerror='broken = true'>"},
    {"instruction": TURNED, "input": "مرحبا بالعالم", "output": "שלום עולם"},
    {"instruction": "Write a lot.", "input": "", "output": LONG},
    {"instruction": "اكتب عن النهر الهادئ", "input": "", "output": "النهر يجري بهدوء"},
    {"instruction": "写一条河", "input": "", "output": "河流很安静"},
]
PLAIN = [{"instruction": f"Count up to {n}.", "input": "", "output": f"It ends at {n}."} for n in range(1, 296)]


@contextmanager
def viewing(*args):
    """The command, and the address that it prints."""
    command = [sys.executable, "-m", "alpaca_core", "view", *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("view") / "data.json"
    write_records(file, [*HOSTILE, *PLAIN])
    return file


@pytest.fixture(scope="module")
def served(data):
    with viewing(data) as (address, _):
        yield address


def practice(out, *more):
    strict = ("--filter", "rouge", "--set", "filter.rouge.threshold=0.5")
    return main(["run", "--trainer", "none", "-n", "60", *strict, "--out", str(out), *more])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 60 rows with some rejected, and losses of two epochs: that of one row rises."""
    out = tmp_path_factory.mktemp("run") / "practice"
    assert practice(out) == 0
    kept = [entry.row.example.id for entry in Browser(out).entries if entry.state == "kept"]
    lines = [
        {"epoch": epoch, "step": epoch, "row": row, "id": id, "loss": 5 * epoch if row == 7 else 3 / epoch, "tokens": 9}
        for epoch in (1, 2)
        for row, id in enumerate(kept)
    ]
    (out / ROW_LOSSES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return out


# Who is answered


def ask(address, path="api/rows?limit=2", body=None, **headers):
    """Status, headers and body of an answer. Headers are as given, Host too; underscores stand for hyphens."""
    host, base = urlsplit(address).netloc, urlsplit(address).path
    sent = {"Host": host, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value.format(host=host) for name, value in headers.items()}
    connection = HTTPConnection(host, timeout=10)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("GET" if body is None else "POST", path if path.startswith("/") else base + path, data, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/api/rows", {}),
        ("/page.js", {}),
        ("/wrong-token/", {}),
        ("/wrong-token/api/rows", {}),
        ("//api/rows", {}),
        ("api/rows", {"Host": "evil.example"}),
        ("api/rows", {"Host": "127.0.0.1"}),
        ("", {"Host": "evil.example:80"}),
        ("api/rows", {"Origin": "http://evil.example"}),
        ("api/rows", {"Origin": "null"}),
        ("api/rows", {"Origin": "https://{host}"}),
    ],
)
def test_another_token_host_or_origin_is_refused(served, path, headers):
    status, sent, text = ask(served, path, **headers)
    assert status == 403 and "Say" not in text
    assert "default-src 'none'" in sent["Content-Security-Policy"]


@pytest.mark.parametrize("line", ["OPTIONS *", "GET rows", "CONNECT evil.example:443"])
def test_a_request_without_a_path_is_refused(served, line):
    port = urlsplit(served).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403")


def hang_up(address):
    """Send half a mark and leave."""
    host, path = urlsplit(address).netloc, urlsplit(address).path
    with socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=10) as connection:
        kind = "Content-Type: application/json\r\nContent-Length: 100"
        connection.sendall(f"POST {path}api/mark HTTP/1.1\r\nHost: {host}\r\n{kind}\r\n\r\n{{".encode())
    assert ask(address)[0] == 200


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_and_tells_of_the_marks(tmp_path, ending):
    write_records(tmp_path / "d.json", PLAIN)
    add_mark(tmp_path / "d.json.edits.jsonl", Mark("drop", ROW))
    with viewing(tmp_path / "d.json") as (address, process):
        assert ask(address)[0] == 200
        hang_up(address)
        process.send_signal(ending)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0 and "1 mark in" in said and "Stopped" not in said and "Traceback" not in said


def test_its_own_page_is_answered_and_may_load_nothing_from_elsewhere(served):
    for headers in ({}, {"Origin": "http://{host}"}, {"Host": served.split("/")[2].replace("127.0.0.1", "localhost")}):
        assert ask(served, **headers)[0] == 200
    status, sent, text = ask(served, "")
    assert status == 200 and sent["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in sent["Content-Security-Policy"] and "unsafe" not in sent["Content-Security-Policy"]
    assert (sent["Referrer-Policy"], sent["Cache-Control"]) == ("no-referrer", "no-store")
    assert not re.search(r"https?://|<style|<script>|\son\w+=|\sstyle=", text)


def test_only_loopback_is_listened_on(served):
    port = urlsplit(served).port
    with open("/proc/net/tcp") as tcp, open("/proc/net/tcp6") as tcp6:
        local = [line.split()[1] for line in [*tcp, *tcp6] if f":{port:04X} " in line and line.split()[3] == "0A"]
    assert local == [f"0100007F:{port:04X}"]


ROW = key("Count up to 9.", "", "It ends at 9.")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"action": "burn", "row": ROW}, 'action: expected one of keep, drop, edit, clear, found "burn"'),
        ({"action": "drop", "row": "x"}, "row: expected 16 hexadecimal digits"),
        ({"action": "drop", "row": "0" * 16}, "row: no row here has these texts"),
        ({"action": "edit", "row": ROW, "output": 3}, "output: expected text, found int"),
        ({"action": "edit", "row": ROW, "output": "\ud83d"}, "output: half of a surrogate pair"),
        ({"action": "edit", "row": ROW, "output": "It ends at 9."}, "edit: the row has these texts already"),
        ({"action": "drop", "row": ROW, "colour": "red"}, "colour: no such field"),
        ([], "expected a JSON object, found list"),
        (b"{", "This is not JSON"),
        (b"[" * 100_000, "This is not JSON"),
    ],
)
def test_a_bad_mark_is_refused_by_its_field(served, data, body, says):
    status, _, text = ask(served, "api/mark", body)
    assert status == 400 and says in json.loads(text)["error"]
    assert not data.with_name("data.json.edits.jsonl").exists()


def test_a_mark_is_sent_as_json_alone_which_no_form_of_another_site_can(served):
    status, _, text = ask(served, "api/mark", {"action": "drop", "row": ROW}, Content_Type="text/plain")
    assert status == 400 and "application/json" in text
    assert ask(served, "api/mark")[0] == 405


@pytest.mark.parametrize(
    "query", ["sort=beauty", "where=nowhere", "state=lost", "offset=-1", "limit=9999999", "offset=x"]
)
def test_a_bad_question_is_refused(served, query):
    status, _, text = ask(served, f"api/rows?{query}")
    assert status == 400 and query.partition("=")[0] in json.loads(text)["error"]


def test_an_order_stays_as_it_was_found_while_marks_are_made(tmp_path):
    write_records(tmp_path / "data.json", PLAIN[:6])
    with viewing(tmp_path / "data.json") as (address, process):
        found = json.loads(ask(address, "api/rows?mark=none&limit=2")[2])
        row = found["rows"][0]["row"]
        assert ask(address, "api/mark", {"action": "drop", "row": row})[0] == 200
        later = json.loads(ask(address, f"api/rows?mark=none&order={found['order']}&offset=0&limit=6")[2])
        assert [of["mark"] for of in later["rows"]] == ["drop", "", "", "", "", ""]
        assert json.loads(ask(address, "api/rows?mark=none")[2])["total"] == 5
        process.send_signal(2)  # Ctrl-C
        assert process.wait(timeout=10) == 0
        assert "1 mark in" in process.stderr.read()


# What is found


def found(browser, text="", **how):
    return [browser.entries[n].row.example.id for n in browser.find(Query(text, **how))[1]]


def test_search_finds_words_and_phrases_in_any_language_and_field(data):
    rows = Browser(data)
    assert found(rows, "النهر") == found(rows, "هاد") == ["row_4"]
    assert found(rows, "条河") == ["row_5"]
    assert found(rows, "COUNT 295") == found(rows, '"to 295"') == ["row_300"]
    assert found(rows, '"295 to"') == []
    assert found(rows, "ends", where="instruction") == [] and len(found(rows, "ends", where="output")) == len(PLAIN)
    assert found(rows, "row_17") == ["row_17"]
    assert len(found(rows)) == 300


def test_case_and_composed_accents_do_not_count(tmp_path):
    write_records(tmp_path / "d.json", [{"instruction": "CAF\u00c9 Stra\u00dfe", "input": "", "output": ""}])
    rows = Browser(tmp_path / "d.json")
    assert found(rows, "cafe\u0301") == found(rows, "STRASSE") == ["row_1"]


def test_rows_of_a_run_are_filtered_by_fate_filter_reason_and_label(run):
    rows = Browser(run)
    facets = rows.facets()
    assert {*facets["states"]} == {"kept", "held out", "rejected", "flagged"}
    for state in ("kept", "held out", "rejected"):
        assert len(found(rows, state=state)) == facets["states"][state] > 0
    heldout = [row["id"] for row in json.loads((run / "heldout.json").read_text())]
    assert found(rows, state="held out") == heldout
    rejected = [json.loads(line)["id"] for line in (run / "rejected.jsonl").read_text().splitlines()]
    assert found(rows, filter="rouge") == found(rows, kind="N like …") == rejected
    assert facets["filters"] == {"rouge": len(rejected)} and facets["kinds"] == {"rouge": {"N like …": len(rejected)}}
    for label, count in facets["labels"].items():
        assert len(found(rows, label=label)) == count
    assert {*found(rows, "like", where="reason")} == {*rejected}


def test_the_highest_last_loss_and_the_highest_similarity_come_first(run):
    rows = Browser(run)
    kept = found(rows, state="kept")
    assert found(rows, sort="loss", descending=True)[0] == found(rows, sort="rise", descending=True)[0] == kept[7]
    ordered = [rows.entries[n].similarity for n in rows.find(Query(sort="similarity", descending=True))[1]]
    known = [value for value in ordered if value is not None]
    assert known == sorted(known, reverse=True) and len(known) > 1 and {*ordered[len(known) :]} == {None}
    lengths = [len(rows.entries[n].now.output) for n in rows.find(Query(sort="output"))[1]]
    assert lengths == sorted(lengths)
    assert found(rows, descending=True) == found(rows)[::-1]


def test_marks_of_another_window_are_seen_and_a_damaged_file_does_not_grow(tmp_path):
    write_records(tmp_path / "d.json", PLAIN[:3])
    rows, file = Browser(tmp_path / "d.json"), tmp_path / "d.json.edits.jsonl"
    add_mark(file, Mark("edit", rows.entries[1].key, output="by somebody else"))
    assert found(rows, "somebody") == found(rows, mark="edit") == ["row_2"]
    add_mark(file, Mark("drop", "0" * 16, id="gone"))
    rows.find(Query())
    assert [mark["id"] for mark in rows.facets()["missing"]] == ["gone"]
    file.write_text(file.read_text() + "    before = file.read_bytes()
    for _ in range(2):
        with pytest.raises(ConfigError, match="line 3: not JSON"):
            rows.mark({"action": "drop", "row": rows.entries[0].key})
    assert file.read_bytes() == before


def test_losses_of_a_training_elsewhere_are_shown_beside_the_rows(tmp_path):
    write_records(tmp_path / "d.json", PLAIN[:3])
    (tmp_path / ROW_LOSSES).write_text('{"epoch": 1, "step": 1, "row": 1, "id": "row_2", "loss": NaN, "tokens": 1}\n')
    rows = Browser(tmp_path / "d.json", tmp_path)
    assert rows.row(1)["losses"] == [None] and rows.row(0)["losses"] == []
    assert main(["view", str(tmp_path / "d.json"), "--losses", str(tmp_path.parent)]) == 2


def test_what_is_no_data_or_no_free_port_is_refused(tmp_path, served, capsys):
    assert main(["view", str(tmp_path / "nothing.json")]) == 2
    assert main(["view", str(tmp_path), "--port", str(urlsplit(served).port)]) == 2
<<<<<<< HEAD
    assert "cannot be used on 127.0.0.1: Address already in use." in capsys.readouterr().err


# In a browser


@pytest.fixture(scope="module")
def page():
    if needs_browser.args[0]:
        pytest.skip(needs_browser.kwargs["reason"])
    with browser() as driver:
        yield driver


def opened(page, address):
    console(page), requests(page)
    page.get(address)
    wait(page, "return performance.getEntriesByName('first rows').length && page.row")


def wait(page, script, *args):
    until = time.monotonic() + 10
    while not (found := page.execute_script(script, *args)):
        assert time.monotonic() < until, f"{script}: {console(page)}"
        time.sleep(0.01)
    return found


def press(page, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page).send_keys(*keys).perform()


def clean(page, address):
    assert console(page) == [] and all(url.startswith(address) for url in requests(page))
    return True


def test_rows_appear_and_a_search_narrows_them(page, served):
    opened(page, served)
    assert page.find_element("id", "status").text.startswith("300 rows of 300 in ")
    assert len(page.find_elements("css selector", ".row .first")) < 40  # those in sight
    press(page, "/", 'count "to 29"')
    wait(page, "return at('status').textContent.startsWith('7 rows of 300')")  # 29, 290 to 295
    shown = page.find_elements("css selector", ".row .first")
    assert [of.text for of in shown][:2] == ["Count up to 29.", "Count up to 290."]
    assert page.find_element("css selector", ".row mark").text == "Count"
    page.execute_script("at('reset').click()")
    wait(page, "return page.total === 300")
    page.execute_script("list.scrollTop = list.scrollHeight")
    wait(page, "return document.querySelector('#row-299 .first')?.textContent === 'Count up to 295.'")
    assert clean(page, served)


def test_hostile_rows_are_shown_as_text(page, served):
    opened(page, served)
    body = "#detail .body[data-text={}]"

    def text(name):
        return page.find_element("css selector", body.format(name)).get_property("textContent")

    assert text("instruction") == SCRIPT and text("output") == HOSTILE[0]["output"]
    press(page, "e", ESCAPE)
    wait(page, "return !page.editing")
    press(page, "j")
    wait(page, "return page.row?.id === 'row_2'")
    assert text("instruction") == "Pay U+202E0001$U+202C to U+2066nobodyU+2069 nowU+0007."
    assert text("input") == "مرحبا بالعالم"
    box = page.find_element("css selector", body.format("input"))
    assert box.value_of_css_property("direction") == "rtl" and box.value_of_css_property("unicode-bidi") == "isolate"
    press(page, "j")
    wait(page, "return page.row?.id === 'row_3'")
    assert text("output") == LONG[:3000]
    page.find_element("css selector", ".whole").click()
    assert text("output") == LONG
    assert page.execute_script("return [window.broken, document.title.includes('view'), document.scripts.length]") == [
        None,
        True,
        1,
    ]
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert clean(page, served)


def test_an_edit_made_in_the_page_is_in_the_file_and_survives_starting_over(page, run):
    with viewing(run) as (address, _):
        opened(page, address)
        from selenium.webdriver.common.keys import Keys

        press(page, "j", "j")
        row = wait(page, "return page.chosen === 2 && page.row")
        press(page, "e")
        page.switch_to.active_element.send_keys(Keys.CONTROL, "a")
        press(page, "Written by hand.")
        page.execute_script("document.querySelector('#note').value = 'it was wrong'")
        page.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
        wait(page, "return !page.editing && page.row.mark")
        [mark] = read_marks(run / "edits.jsonl").values()
        assert (mark.action, mark.row, mark.id, mark.texts) == (
            "edit",
            row["row"],
            row["id"],
            {"output": "Written by hand."},
        )
        assert mark.note == "it was wrong" and mark.when and row["texts"]["instruction"].startswith(mark.about[:20])
        press(page, "j", "x")
        dropped = wait(page, "return !page.pending && page.row?.mark?.action === 'drop' && page.row.row")
        assert read_marks(run / "edits.jsonl")[dropped].action == "drop"
        press(page, "u")
        wait(page, "return page.row.mark === null")
        assert [*read_marks(run / "edits.jsonl")] == [mark.row]
        page.execute_script("at('state').value = 'rejected'; at('state').dispatchEvent(new Event('change'))")
        wait(page, "return page.row?.state === 'rejected'")
        assert "rejected by rouge: 0." in page.find_element("css selector", ".said.rejected").text
        press(page, "a")
        taken = wait(page, "return page.row?.mark?.action === 'keep' && page.row")
        assert clean(page, address)
    assert practice(run, "--fresh") == 0
    rows = json.loads((run / "alpaca_data.json").read_text())
    assert {**row["original"], "output": "Written by hand."} in rows and row["original"] not in rows
    assert taken["original"] in rows
    assert {*read_marks(run / "edits.jsonl")} == {mark.row, taken["row"]}


def test_an_edit_is_not_left_with_changes_by_accident(page, served):
    opened(page, served)
    press(page, "e", "more")
    press(page, ESCAPE)
    assert "Save the edit" in page.find_element("id", "toast").text
    page.find_elements("css selector", ".row")[3].click()
    assert page.execute_script("return page.editing && page.chosen === 0")
    page.find_element("css selector", "[data-act=cancel]").click()
    assert page.execute_script("return !page.editing && page.chosen === 0")
    assert clean(page, served)


def test_on_a_phone_a_row_is_opened_over_the_list(page, served):
    width, height = PHONE
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    opened(page, served)
    assert not page.find_element("id", "detail").is_displayed()
    page.find_elements("css selector", ".row")[1].click()
    wait(page, "return page.row?.id === 'row_2'")
    assert page.find_element("id", "detail").is_displayed() and not page.find_element("id", "list").is_displayed()
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    page.find_element("id", "back").click()
    assert page.find_element("id", "list").is_displayed()
    assert clean(page, served)
