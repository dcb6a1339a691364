"""What Anthropic's teacher learns of a model: from its refusals once, or from the list of models before any."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from alpaca_anthropic import MessagesOptions
from alpaca_anthropic.adaptation import Adaptation
from anthropic_teachers import REQUEST, ask, environment, fail, message, with_teacher, wrong  # noqa: F401
from openai_teachers import script

# As the provider itself says it.
ALWAYS_ON = (
    '"thinking.type.disabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort"'
    " to control thinking behavior."
)
BETWEEN_TOOLS = (
    '"thinking.type.disabled" is not supported for this model. Use "thinking.type.between_tools" for the lowest'
    ' thinking setting, or "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
)
TOO_MUCH = (
    "output_config.effort 'xhigh' is not supported when thinking is disabled on this model. Use effort 'high' or below,"
    " or enable thinking."
)


def learn(server, *, times=1, **values):
    """What is learnt by asking so often."""

    async def session(teacher):
        for k in range(times):
            await teacher.complete(replace(REQUEST, k=k, schema={}))
        return teacher.learnt

    return with_teacher(server, session, **values)


@pytest.mark.parametrize(
    ("text", "values", "learnt"),
    [
        (ALWAYS_ON, {}, {"thinking.type": None, "output_config.effort": "low"}),
        (ALWAYS_ON, {"effort": "high"}, {"thinking.type": None}),
        (BETWEEN_TOOLS, {}, {"thinking.type": "between_tools"}),
        (
            'To turn thinking off on this model, send "thinking": {"type": "between_tools"} instead of {"type":'
            ' "disabled"}.',
            {},
            {"thinking.type": "between_tools"},
        ),
        ("adaptive thinking is not supported on this model", {"thinking": "adaptive"}, {"thinking.type": None}),
        (TOO_MUCH, {"effort": "xhigh"}, {"output_config.effort": "high"}),
        (
            "This model does not support effort level 'max'. Supported levels: high, low, medium.",
            {"effort": "max"},
            {"output_config.effort": "high"},
        ),
        (
            'output_config.effort "low" is not supported by model x; supported values: [medium]',
            {"effort": "low"},
            {"output_config.effort": "medium"},
        ),
        (
            "output_config.effort: Input should be 'low', 'medium' or 'high'",
            {"effort": "xhigh"},
            {"output_config.effort": "high"},
        ),
        ("output_config.effort must be one of: high, medium", {"effort": "low"}, {"output_config.effort": "medium"}),
        ("This model does not support the effort parameter.", {"effort": "low"}, {"output_config.effort": None}),
        ("output_config.format.schema: 'minItems' is not supported", {}, {"output_config.format": None}),
        ("'claude-x' does not support output format.", {}, {"output_config.format": None}),
        (
            "output_config: Extra inputs are not permitted",
            {"effort": "low"},
            {"output_config.effort": None, "output_config.format": None},
        ),
        (
            "max_tokens: 3072 > 2048, which is the maximum allowed number of output tokens for claude-x",
            {},
            {"max_tokens": 2048},
        ),
    ],
)
def test_what_the_provider_says_is_learnt_once(text, values, learnt):
    with script({"POST /v1/messages": [wrong(text), (200, message())]}) as server:
        assert learn(server, times=2, **values) == learnt
    assert len(server.bodies) == 1 + 2 and server.bodies[1] == server.bodies[2] != server.bodies[0]
    sent = server.bodies[1]
    thinking, effort = learnt.get("thinking.type", "disabled"), learnt.get("output_config.effort", values.get("effort"))
    assert sent.get("thinking") == (thinking and {"type": thinking})
    assert sent.get("output_config", {}).get("effort") == effort
    assert ("format" in sent.get("output_config", {})) == ("output_config.format" not in learnt)
    assert sent["max_tokens"] == learnt.get("max_tokens", 3072)


def test_one_thing_after_the_other_is_learnt(provider):
    server = provider(refuses=["thinking=disabled", "output_config.effort", "output_config.format"])
    assert learn(server, times=2) == {
        "thinking.type": None,
        "output_config.effort": None,
        "output_config.format": None,
    }
    assert server.stats()["requests"] == 3 + 2 and server.stats()["billed"] == 2
    assert server.requests[-1]["body"].keys() == {"model", "max_tokens", "system", "messages"}


def test_what_was_learnt_is_known_at_the_next_start(provider):
    server = provider(refuses=["thinking=disabled"])
    learnt = learn(server)
    before = len(server.requests)

    async def know(teacher):
        teacher.learnt.update(learnt)
        return await teacher.complete(REQUEST)

    with_teacher(server, know)
    assert len(server.requests) == before + 1


def test_each_of_many_in_flight_is_refused_once(provider):
    server = provider(refuses=["thinking=disabled"], latency=0.05)

    async def all_at_once(teacher):
        return await asyncio.gather(*(teacher.complete(replace(REQUEST, k=k, prompt=f"{k}")) for k in range(64)))

    assert len(with_teacher(server, all_at_once)) == 64
    assert server.stats()["requests"] <= 2 * 64 and server.stats()["billed"] == 64


def test_a_refusal_that_nothing_can_be_learnt_from_is_told_at_once():
    for text in (
        "prompt is too long: 201000 tokens > 200000 maximum",
        "Output blocked by content filtering policy",
        "messages.0.content: a text on thinking and effort is not supported",
    ):
        with script({"POST /v1/messages": wrong(text)}) as server:
            error = fail(server)
        assert error.kind == "bad_request" and text in error.message and len(server.bodies) == 1


def test_a_provider_that_goes_round_in_circles_is_left():
    with script({"POST /v1/messages": [wrong(ALWAYS_ON), wrong(BETWEEN_TOOLS)] * 9}) as server:
        assert fail(server).kind == "bad_request"
    assert len(server.bodies) <= 8


# ---- what the list of models says ------------------------------------------------------------------------


def capabilities(*, thinking=("disabled", "adaptive"), effort=("low", "medium", "high", "max")):
    types = {name: {"supported": name in thinking} for name in ("adaptive", "between_tools", "disabled", "enabled")}
    levels = {name: {"supported": name in effort} for name in ("low", "medium", "high", "max")}
    return {
        "thinking": {"supported": True, "types": types},
        "effort": {"supported": bool(effort), "xhigh": None, **levels},
    }


@pytest.mark.parametrize(
    ("found", "values", "learnt"),
    [
        (capabilities(), {}, {}),
        (capabilities(), {"thinking": "adaptive", "effort": "max"}, {}),
        (capabilities(thinking=("adaptive",)), {}, {"thinking.type": None, "output_config.effort": "low"}),
        (capabilities(thinking=("adaptive",)), {"thinking": "adaptive"}, {}),
        (capabilities(thinking=("adaptive", "between_tools")), {}, {"thinking.type": "between_tools"}),
        (
            capabilities(thinking=("enabled",), effort=()),
            {"effort": "high"},
            {"thinking.type": None, "output_config.effort": None},
        ),
        (
            capabilities(thinking=("enabled",), effort=()),
            {},
            {"thinking.type": None, "output_config.effort": None},
        ),
        (capabilities(), {"effort": "xhigh"}, {"output_config.effort": "high"}),
        (capabilities(effort=("medium",)), {"effort": "low"}, {"output_config.effort": "medium"}),
        ({"thinking": {"types": {"disabled": {"supported": True}}}}, {"effort": "high"}, None),
        (None, {}, None),
    ],
)
def test_what_a_model_takes_is_known_before_the_first_request(found, values, learnt):
    async def session(teacher):
        assert await teacher.prepare() == []
        return teacher.learnt

    with script({"GET /v1/models/claude-haiku-5-5": (200, {"capabilities": found})}) as server:
        assert with_teacher(server, session, **values) == (learnt or {})


def test_the_same_words_teach_the_same():
    adaptation = Adaptation(MessagesOptions(effort="xhigh"))
    for text in (BETWEEN_TOOLS, TOO_MUCH, BETWEEN_TOOLS, TOO_MUCH):
        assert adaptation.heed(text)
    assert adaptation.learnt == {"thinking.type": "between_tools", "output_config.effort": "high"}


def test_an_effort_that_was_learnt_can_be_refused_in_its_turn():
    adaptation = Adaptation(MessagesOptions(effort="max"))
    for text, effort in (
        ("output_config.effort: Input should be 'low', 'medium' or 'high'", "high"),
        (TOO_MUCH.replace("high", "medium").replace("xmedium", "high"), "medium"),
    ):
        assert adaptation.heed(text) and adaptation.learnt == {"output_config.effort": effort}
