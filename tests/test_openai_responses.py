"""OpenAI's Responses: the same question in other words, and the answers' many shapes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from alpaca_openai import ChatOptions, CompletionOptions
from openai_teachers import REQUEST, ask, environment, fail, script  # noqa: F401

from alpaca_core import Completion, Request, Usage

RESPONSES = partial(ChatOptions, api="responses")
SCHEMA = {"type": "object", "properties": {"tasks": {"type": "array"}}, "required": ["tasks"]}


def text(said):
    return {"type": "output_text", "text": said, "annotations": []}


def message(*parts, **more):
    return {"type": "message", "role": "assistant", "status": "completed", "content": list(parts)} | more


def response(*output, status="completed", **more):
    used = {"input_tokens": 90, "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30}}
    used |= {"output_tokens": 40, "output_tokens_details": {"reasoning_tokens": 10}}
    return {"id": "r1", "model": "m", "status": status, "error": None, "output": list(output), "usage": used} | more


def read(reply, request=REQUEST, asking=ask):
    """What the teacher makes of ``reply``."""
    with script({"POST /v1/responses": (200, reply)}) as server:
        (found,) = asking(server, RESPONSES, request=request)
    return found


def trouble(reply):
    with script({"POST /v1/responses": (200, reply)}) as server:
        return fail(server, RESPONSES)


def sent(path, reply, options, request=REQUEST, **values):
    with script({f"POST /v1/{path}": (200, reply)}) as server:
        ask(server, options, request=request, **values)
    (body,) = server.bodies
    return body


def test_what_is_asked_and_that_nothing_is_kept_there():
    assert sent("responses", response(), RESPONSES, replace(REQUEST, stop=("\n20",))) == {
        "model": "gpt-6-luna",
        "instructions": "Be brief.",
        "input": "Write tasks.\n\n\nAbout bees.",
        "temperature": 1.0,
        "top_p": 1.0,
        "reasoning": {"effort": "none"},
        "max_output_tokens": 3072,
        "store": False,
    }
    plain = sent("responses", response(), RESPONSES, Request(k=0, prompt="Go."), temperature=None)
    assert not {"instructions", "temperature", "text"} & plain.keys()


def test_the_answer_is_all_that_is_said_to_the_reader():
    reply = response(
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hmm."}]},
        message(text("I shall begin."), phase="commentary"),
        message(text("One, "), text("two.")),
        message(text(" Three."), phase="final_answer"),
    )
    usage = Usage(90, 40, cached_tokens=20, reasoning_tokens=10, cache_write_tokens=30)
    assert read(reply) == Completion("One, two. Three.", "stop", usage, "m", "r1")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("steered", "length"), (None, "stop")],
)
def test_an_incomplete_answer_says_why_it_ended(reason, finish):
    status = "incomplete" if reason else "completed"
    reply = response(message(text("One, tw")), status=status, incomplete_details=reason and {"reason": reason})
    assert read(reply).finish == finish and read(reply).text == "One, tw"


def test_thinking_that_uses_up_the_answer_leaves_an_empty_one():
    reply = response(
        {"type": "reasoning", "summary": []}, status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    )
    assert (read(reply).text, read(reply).finish) == ("", "length")


def test_a_refusal_is_a_reply_of_its_own_kind():
    found = read(
        response(message({"type": "refusal", "refusal": "I cannot 20. help."})), replace(REQUEST, stop=("20.",))
    )
    assert (found.text, found.finish) == ("I cannot 20. help.", "refusal")


@pytest.mark.parametrize("finish", ["completed", "incomplete"])
def test_an_answer_ends_before_the_first_of_the_stop_strings(finish):
    reply = response(
        message(text("1. a\n2. b\n3. c")), status=finish, incomplete_details={"reason": "max_output_tokens"}
    )
    found = read(reply, replace(REQUEST, stop=("\n3.", "\n2.", "\n9.")))
    assert (found.text, found.finish) == ("1. a", "stop")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("server_error", "server"), ("rate_limit_exceeded", "rate_limit"), ("invalid_prompt", "bad_request")],
)
def test_a_model_that_fails_is_an_error_of_its_kind(code, kind):
    error = trouble(response(status="failed", error={"code": code, "message": "It went wrong"}))
    assert error.kind == kind and "It went wrong" in error.message and error.billed
    assert not trouble(response(status="failed", error={"code": code}, usage=None)).billed


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"choices": []},
        response(status="queued"),
        response({"type": "message"}),
        response(message({"type": "output_text"})),
    ],
)
def test_an_answer_that_makes_no_sense_is_the_servers_trouble(reply):
    assert (trouble(reply).kind, trouble(reply).billed) == ("server", True)


def test_a_schema_is_sent_where_an_answer_can_be_held_to_it():
    request = replace(REQUEST, schema=SCHEMA)
    said = {"choices": [{"message": {"content": "{}"}, "text": "{}", "finish_reason": "stop"}]}
    asked = {"name": "answer", "schema": SCHEMA, "strict": True}
    assert sent("responses", response(), RESPONSES, request)["text"] == {"format": {"type": "json_schema", **asked}}
    chat = sent("chat/completions", said, ChatOptions, request)
    assert chat["response_format"] == {"type": "json_schema", "json_schema": asked}
    assert not {"response_format", "text"} & sent("completions", said, CompletionOptions, request).keys()


def test_tokens_of_the_cache_are_counted_on_chat_completions_too():
    details = {"cached_tokens": 20, "cache_write_tokens": 30}
    used = {"prompt_tokens": 90, "completion_tokens": 40, "prompt_tokens_details": details}
    said = {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}], "usage": used}
    with script({"POST /v1/chat/completions": (200, said)}) as server:
        (found,) = ask(server)
    assert found == Completion("Yes.", "stop", Usage(90, 40, cached_tokens=20, cache_write_tokens=30))


def test_a_model_that_refuses_a_nested_parameter_is_asked_without_it():
    refused = {"error": {"message": "Unsupported parameter: 'text.format'.", "param": "text.format.schema"}}
    effort = {
        "error": {
            "message": "Supported values are: 'low', 'high'.",
            "param": "reasoning.effort",
            "code": "unsupported_value",
        }
    }
    said = {"POST /v1/responses": [(400, refused), (400, effort), (200, response(message(text("Yes."))))]}
    with script(said) as server:
        first, second = ask(server, RESPONSES, request=replace(REQUEST, schema=SCHEMA), times=2)
    assert first == second and len(server.bodies) == 4
    assert "text" not in server.bodies[-1] and server.bodies[-1]["reasoning"] == {"effort": "low"}
