"""The tests' own provider: what it promises to the tests that rely on it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request

import provider as module

FAULTS = {"rate_limit": 0.2, "server": 0.1, "truncated": 0.2, "malformed": 0.2}


def post(url, prompt):
    """The status and the text of one answer."""
    body = json.dumps({"model": "any", "prompt": prompt, "max_tokens": 3072}).encode()
    request = urllib.request.Request(f"{url}/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)["choices"][0]["text"]
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_answers_and_faults_depend_on_the_prompt_alone(provider):
    """So the order of requests changes nothing, and a repeated one gets the same text."""
    one, two = provider(faults=FAULTS), provider(faults=FAULTS)
    prompts = [f"prompt {number}" for number in range(60)] * 2
    forwards = [post(one.url, prompt) for prompt in prompts]
    backwards = [post(two.url, prompt) for prompt in reversed(prompts)]
    assert sorted(forwards) == sorted(backwards)
    texts = {prompt: {text for text in answers if text} for prompt, answers in pairs(prompts, forwards).items()}
    assert all(len(answers) <= 1 for answers in texts.values())
    assert set(one.stats()["faults"]) == set(FAULTS) and one.stats()["faults"] == two.stats()["faults"]


def pairs(prompts, answers):
    found = {prompt: [] for prompt in prompts}
    for prompt, (_, text) in zip(prompts, answers, strict=True):
        found[prompt].append(text)
    return found


def test_what_is_paid_twice_or_asked_too_early_is_counted(provider):
    server = provider(script=["rate_limit"], retry_after=60)
    assert [post(server.url, "the same")[0] for _ in range(3)] == [429, 200, 200]
    stats = server.stats()
    assert (stats["requests"], stats["distinct"], stats["billed"], stats["paid_twice"]) == (3, 1, 2, 1)
    assert stats["early_retries"] == 1 and stats["delivered"] == 2


def test_requests_over_the_limit_are_refused(provider):
    server = provider(rpm=3)
    assert [post(server.url, f"prompt {number}")[0] for number in range(5)] == [200, 200, 200, 429, 429]


def test_it_runs_as_a_process_of_its_own():
    command = [sys.executable, module.__file__, "--latency", "0.01", "--fault", "rate_limit=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            assert post(url, "Go on.\n4. Instruction:")[1].count("Output:") == 17
            with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as response:
                assert json.load(response)["billed"] == 1
        finally:
            process.kill()
