"""What OpenAI's teacher learns from a model's refusals: once, for good, and about the right parameter."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from alpaca_openai.adaptation import Adaptation
from alpaca_openai.failures import Problem, refused_parameter, room_for_answer, values_taken
from openai_teachers import REQUEST, ask, environment, every_dialect, fail, fails, script, with_teacher  # noqa: F401
from running import generate

EFFORT = "reasoning.effort"
SENT = {"temperature", EFFORT, "text.format", "store"}
VLLM_BEFORE_0_16 = (
    "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': \"Input should be "
    "'low', 'medium' or 'high'\", 'input': 'none', 'ctx': {'expected': \"'low', 'medium' or 'high'\"}}"
)
CHAT, SAID = "POST /v1/chat/completions", (200, {"choices": [{"message": {"content": "Done."}}]})
OPENAI = (
    "Unsupported value: 'none' is not supported with this model. Supported values are: 'low', 'medium', and 'high'."
)


@every_dialect
def test_refused_parameters_are_learnt_once(provider, options):
    server = provider(refuses=["temperature", "top_p"])
    first, second = ask(server, options, times=2)
    assert first.text == second.text and server.stats()["requests"] == 2 + 2
    assert not {"temperature", "top_p"} & server.requests[-1]["body"].keys()


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
    "body",
    [
        {"error": {"message": VLLM_BEFORE_0_16, "param": None}},
        {"detail": [{"loc": ["body", "reasoning_effort"], "msg": "Input should be 'low', 'medium' or 'high'"}]},
        {"error": {"message": "`reasoning_effort` must be one of `low`, `medium`, or `high`"}},
        {"error": {"message": OPENAI, "param": "reasoning_effort"}},
    ],
)
def test_the_effort_that_many_servers_offer_is_taken_in_the_place_of_one_they_refuse(body):
    with script({CHAT: [(400, body), SAID]}) as server:
        ask(server, times=2)
    assert [body["reasoning_effort"] for body in server.bodies] == ["none", "low", "low"]
    assert values_taken(Problem.of(400, body)) == ["low", "medium", "high"]


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens is too large: 6144. This model supports at most 4096 completion tokens, whereas you provided 6144.",
        "`max_completion_tokens` must be less than or equal to `4096`, the maximum value for `max_completion_tokens` is"
        " less than the `context_window` for this model",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 4096]",
    ],
)
def test_a_model_is_never_asked_for_more_than_it_ever_writes_once_that_is_known(text):
    async def session(teacher):
        for most in (6144, 6144, 3072):
            await teacher.complete(replace(REQUEST, max_tokens=most))
        return teacher.learnt

    with script({CHAT: [(400, {"error": {"message": text, "param": "max_tokens"}}), SAID]}) as server:
        assert with_teacher(server, session) == {"max_completion_tokens": 4096}
    assert [body["max_completion_tokens"] for body in server.bodies] == [6144, 4096, 4096, 3072]


def test_the_longest_answer_is_kept_to_by_its_older_name_too():
    adaptation, body = Adaptation(), {"max_completion_tokens": 6144}
    adaptation.learnt.update(max_completion_tokens="max_tokens", max_tokens=4096)
    assert adaptation.fit(0, body) == {"max_tokens": 4096}


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ({"message": "Unsupported parameter: 'temperature' is not supported.", "param": "temperature"}, "temperature"),
        ({"message": "Unknown parameter: 'reasoning'.", "param": "reasoning"}, "reasoning.effort"),
        ({"message": "Invalid schema for response_format 'answer'.", "param": "text.format.schema"}, "text.format"),
        ({"message": "Unrecognized request argument supplied: store"}, "store"),
        ([{"type": "extra_forbidden", "loc": ["body", "store"], "msg": "Extra inputs are not permitted"}], "store"),
        ({"message": "This response_format type is unavailable now: text.format"}, "text.format"),
        ([{"type": "literal_error", "loc": ["body", "reasoning", "effort"], "msg": "Input should be 'low'"}], EFFORT),
        ({"message": "`reasoning.effort` must be one of `low`, `medium`, or `high`"}, "reasoning.effort"),
        ({"message": "store is unavailable"}, ""),
        ({"message": "temperature must be one of 0 and 1"}, ""),
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


def test_requests_that_a_short_context_shortens_are_answered_side_by_side(provider):
    server = provider(context=2048, latency=0.3)

    async def all_at_once(teacher):
        return await asyncio.gather(*(teacher.complete(replace(REQUEST, k=k, prompt=f"{k}")) for k in range(16)))

    assert len(with_teacher(server, all_at_once)) == 16
    assert server.stats()["requests"] == 2 * 16 and server.stats()["peak_parallel"] > 8


@every_dialect
@pytest.mark.parametrize(("words", "tries"), [(100, 1), (1500, 1), (2800, 2), (3800, 4)])
def test_vllm_is_asked_for_less_until_prompt_and_answer_fit(provider, options, words, tries):
    """It never tells how long a prompt is, only that it is too long for the answer that was asked for."""
    server = provider(context=4096, vllm=True, items=200)
    request = replace(REQUEST, prompt="bee " * words, max_tokens=6144)
    (reply,) = ask(server, options, request=request)
    assert reply.usage.prompt_tokens + reply.usage.completion_tokens <= 4097 and server.stats()["billed"] == 1
    assert server.stats()["requests"] == tries + 1


def test_a_prompt_that_leaves_no_room_at_vllm_is_a_bad_request(provider):
    server = provider(context=4096, vllm=True)
    error = fails(ask, server, request=replace(REQUEST, prompt="bee " * 4000, max_tokens=6144))
    assert error.kind == "bad_request" and "context length is only 4096" in error.message
    assert server.stats()["requests"] == 5


@pytest.mark.parametrize(
    ("text", "room"),
    [
        ("maximum context length is 4097 tokens, however you requested 4572 (1500 in your prompt; 3072 for the", 2597),
        ("maximum context length is 4096 tokens and your request has 1500 input tokens (6144 > 4096 - 1500).", 2596),
        (
            "maximum context length is 4096 tokens. However, you requested 3000 output tokens and your prompt contains"
            " at least 1097 input tokens, for a total of at least 4097 tokens.",
            1500,
        ),
        (
            "maximum context length is 4096 tokens. However, you requested 4096 output tokens and your prompt contains"
            " 110 characters (more than 0 characters, which is the upper bound for 0 input tokens).",
            2048,
        ),
        (
            "You passed 9000 input tokens and requested 1000 output tokens. However, the model's context length is only"
            " 9500 tokens",
            500,
        ),
        (
            "You passed 90000 input characters and requested 3072 output tokens. However, the model's context length is"
            " only 4096 tokens",
            1536,
        ),
        (
            "You passed 3841 input tokens and requested 256 output tokens. However, the model's context length is only"
            " 4096 tokens",
            0,
        ),
        ("max_tokens=6144cannot be greater than max_model_len=max_total_tokens=4096. Please request fewer", 2048),
        ("maximum context length is 4096 tokens", 0),
        ("You passed too much", 0),
    ],
)
def test_the_room_for_an_answer_is_read_from_the_words_of_many_servers(text, room):
    assert room_for_answer(Problem.of(400, {"error": {"message": text}})) == room


def test_a_prompt_longer_than_the_context_is_a_bad_request(provider):
    error = fail(provider(context=5))
    assert error.kind == "bad_request" and "maximum context length is 5" in error.message


def test_the_longest_answer_is_never_left_out_for_it_bounds_what_a_request_can_cost():
    adaptation, sent = Adaptation(), {"max_output_tokens": 3072}
    assert not adaptation.heed(
        0, sent, sent, Problem.of(400, {"message": "Unsupported parameter: 'max_output_tokens'"})
    )
    adaptation.learnt["max_output_tokens"] = None  # as an older run may have stored it
    assert adaptation.fit(0, sent) == sent
