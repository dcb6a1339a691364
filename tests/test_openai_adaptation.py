"""What OpenAI's teacher learns from a model's refusals: once, for good, and about the right parameter."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from alpaca_openai.adaptation import Adaptation
from alpaca_openai.failures import Problem, refused_parameter, room_for_answer
from openai_teachers import REQUEST, ask, environment, every_dialect, fail, with_teacher  # noqa: F401
from running import generate

SENT = {"temperature", "reasoning.effort", "text.format", "store"}


@every_dialect
def test_refused_parameters_are_learnt_once(provider, options):
    server = provider(refuses=["temperature", "top_p"])
    first, second = ask(server, options, times=2)
    assert first.text == second.text and server.stats()["requests"] == 2 + 2
    assert not {"temperature", "top_p"} & server.requests[-1]["body"].keys()


def test_a_short_context_holds_no_request_up_for_another(provider):
    """Each is refused once, for how much room there is concerns it alone; the answers come side by side."""
    server = provider(context=2048, latency=0.3)

    async def all_at_once(teacher):
        return await asyncio.gather(*(teacher.complete(replace(REQUEST, k=k, prompt=f"{k}")) for k in range(16)))

    assert len(with_teacher(server, all_at_once)) == 16
    assert server.stats()["requests"] == 2 * 16
    assert server.stats()["peak_parallel"] > 8


@every_dialect
def test_what_was_learnt_is_known_at_the_next_start(provider, options):
    server = provider(refuses=["temperature", "top_p"])

    async def learn(teacher):
        await teacher.complete(REQUEST)
        return teacher.learnt

    async def know(teacher):
        teacher.learnt.update(learnt)
        return await teacher.complete(REQUEST)

    learnt = with_teacher(server, learn, options)
    assert learnt == {"temperature": None, "top_p": None} and len(server.requests) == 3
    with_teacher(server, know, options)
    assert len(server.requests) == 4


def test_a_run_that_is_started_again_knows_what_it_has_learnt(provider, tmp_path):
    server = provider(refuses=["temperature", "reasoning_effort=none"])
    generate(server, tmp_path / "run", n=20)
    before = len(server.requests)
    done = generate(server, tmp_path / "run", n=60)
    asked = [request["body"] for request in server.requests[before:]]
    assert asked and all("temperature" not in body and body["reasoning_effort"] == "minimal" for body in asked)
    assert "does not take" not in done.stderr


def test_each_of_many_in_flight_is_refused_once_however_much_there_is_to_learn(provider):
    server = provider(refuses=["temperature", "top_p", "reasoning_effort"], latency=0.05)

    async def all_at_once(teacher):
        return await asyncio.gather(*(teacher.complete(replace(REQUEST, k=k, prompt=f"{k}")) for k in range(64)))

    assert len(with_teacher(server, all_at_once)) == 64
    refused = server.stats()["requests"] - 64
    assert 3 <= refused <= 64 + 2  # each once, and one of them for the other two parameters
    assert server.stats()["billed"] == 64


def test_a_server_of_the_older_protocol_gets_max_tokens(provider):
    server = provider(refuses=["max_completion_tokens", "reasoning_effort"])

    async def session(teacher):
        await teacher.complete(REQUEST)
        return teacher.learnt

    learnt = with_teacher(server, session)
    assert server.requests[-1]["body"]["max_tokens"] == 3072 and server.stats()["requests"] == 3
    assert learnt == {"max_completion_tokens": "max_tokens", "reasoning_effort": None}


def test_a_model_that_must_think_thinks_the_least_it_can(provider):
    server = provider(refuses=["reasoning_effort=none"])
    ask(server, times=2)
    efforts = [request["body"].get("reasoning_effort") for request in server.requests]
    assert efforts == ["none", "minimal", "minimal"]


@pytest.mark.parametrize(
    ("effort", "offered", "taken"),
    [
        ("none", "'low', 'medium', and 'high'", "low"),
        ("minimal", "'none', 'low', and 'high'", "low"),
        ("xhigh", "'low' and 'medium'", "medium"),
        ("none", "", "minimal"),
        ("high", "", None),
    ],
)
def test_the_effort_nearest_to_what_was_asked_is_taken_from_what_is_offered(effort, offered, taken):
    adaptation = Adaptation()
    sent = {"model": "m", "reasoning.effort": effort}
    text = f"Unsupported value: '{effort}' is not supported with the 'm' model."
    text += f" Supported values are: {offered}." if offered else ""
    problem = Problem.of(400, {"message": text, "param": "***.effort", "code": "unsupported_value"})
    assert adaptation.heed(0, sent, sent, problem)
    assert adaptation.learnt == {"reasoning.effort": taken}


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ({"message": "Unsupported parameter: 'temperature' is not supported.", "param": "temperature"}, "temperature"),
        ({"message": "Unknown parameter: 'reasoning'.", "param": "reasoning"}, "reasoning.effort"),
        ({"message": "Invalid schema for response_format 'answer'.", "param": "text.format.schema"}, "text.format"),
        ({"message": "Unrecognized request argument supplied: store"}, "store"),
        ([{"type": "extra_forbidden", "loc": ["body", "store"], "msg": "Extra inputs are not permitted"}], "store"),
        ({"message": "Unsupported content: temperature", "param": "input[0].content"}, ""),
        ({"message": "temperature must be below 1"}, ""),
    ],
)
def test_a_refused_parameter_is_found_in_the_words_of_many_servers(error, name):
    body = {"detail": error} if isinstance(error, list) else {"error": error}
    assert refused_parameter(Problem.of(400, body), SENT) == name
    assert refused_parameter(Problem.of(500, body), SENT) == ""


def test_stop_strings_that_are_refused_end_the_answer_all_the_same(provider):
    taking, refusing = provider(), provider(refuses=["stop"])
    request = replace(REQUEST, stop=("\n3. Input:", "\n20"))
    (expected,), (reply,) = ask(taking, request=request), ask(refusing, request=request)
    assert "stop" not in refusing.requests[-1]["body"] and refusing.stats()["billed"] == 1
    assert reply.text == expected.text and reply.finish == "stop" and "2. Output:" in reply.text


@every_dialect
def test_an_answer_is_fitted_to_a_short_context(provider, options):
    server = provider(context=2048)
    (reply,) = ask(server, options)
    assert reply.usage.prompt_tokens + reply.usage.completion_tokens <= 2049 and server.stats()["billed"] == 1


def test_a_prompt_longer_than_the_context_is_a_bad_request(provider):
    error = fail(provider(context=5))
    assert error.kind == "bad_request" and "maximum context length is 5" in error.message


@pytest.mark.parametrize(
    ("text", "room"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 4672 tokens (1600 in the messages,"
         " 3072 in the completion).", 2496),
        ("You passed 1500 input tokens and requested 3072 output tokens. However, the model's context length is only"
         " 4096 tokens, resulting in a maximum input length of 1024 tokens.", 2596),
        # Here the server stopped counting where the prompt became too long.
        ("You passed 1025 input tokens and requested 3072 output tokens. However, the model's context length is only"
         " 4096 tokens, resulting in a maximum input length of 1024 tokens.", 1536),
        ("max_tokens=8192 cannot be greater than max_model_len=max_total_tokens=4096. Please request fewer.", 2048),
        ("You passed 4090 input tokens and requested 512 output tokens. However, the model's context length is only"
         " 4096 tokens.", 0),
    ],
)  # fmt: skip
def test_the_room_for_an_answer_is_read_from_what_servers_say_of_a_context_that_is_too_short(text, room):
    assert room_for_answer(Problem.of(400, {"message": text})) == room


@pytest.mark.parametrize(
    ("error", "sent", "learnt"),
    [
        (
            {"message": "{'loc': ('body', 'reasoning_effort'), 'msg': \"Input should be 'low' or 'high'\"}"},
            {"reasoning_effort": "none"},
            {"reasoning_effort": "low"},
        ),
        (
            {"message": "`reasoning_effort` must be one of `low`, `high`"},
            {"reasoning_effort": "none"},
            {"reasoning_effort": "low"},
        ),
        (
            {"message": "This response_format type is unavailable now"},
            {"response_format": {"type": "json_schema"}},
            {"response_format": None},
        ),
        (
            {
                "message": "max_tokens is too large: 6144. This model supports at most 4096 completion tokens.",
                "param": "max_tokens",
            },
            {"max_completion_tokens": 6144},
            {"max_completion_tokens": 4096},
        ),
        ({"message": "Unsupported parameter: 'max_output_tokens'"}, {"max_output_tokens": 6144}, {}),
        ({"message": "temperature must be one of the numbers below 1"}, {"temperature": 1.0}, {}),
    ],
)
def test_servers_say_in_many_words_what_they_do_not_take(error, sent, learnt):
    adaptation = Adaptation()
    assert adaptation.heed(0, sent, sent, Problem.of(400, error)) == bool(learnt)
    assert adaptation.learnt == learnt


def test_the_longest_answer_is_never_longer_than_what_was_learnt():
    adaptation = Adaptation()
    adaptation.learnt["max_completion_tokens"] = 4096
    assert [adaptation.fit(0, {"max_completion_tokens": n}) for n in (3072, 6144)] == [
        {"max_completion_tokens": 3072},
        {"max_completion_tokens": 4096},
    ]
