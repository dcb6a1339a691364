"""What is known of Anthropic's models and checked before the first request: keys, addresses, retirement, prices."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from alpaca_anthropic import MessagesOptions, alpaca_teachers
from alpaca_anthropic.prices import PRICES, price_of
from alpaca_anthropic.teacher import AnthropicTeacher
from anthropic_teachers import ask, environment, with_teacher, wrong  # noqa: F401
from openai_teachers import script

from alpaca_core import BatchTeacher, ConfigError, MissingError, Teacher, TeacherError, Usage


def test_a_key_is_needed_for_anthropic_itself_only(monkeypatch, provider):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(MissingError, match="ANTHROPIC_API_KEY is not set") as caught:
        AnthropicTeacher(MessagesOptions()).check()
    assert "export ANTHROPIC_API_KEY" in caught.value.hint
    server = provider()
    AnthropicTeacher(MessagesOptions(base_url=server.root)).check()
    assert ask(server)


def test_a_key_that_cannot_be_one_is_told_before_it_is_sent(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant “copied”")
    with pytest.raises(MissingError, match="a character that no key has"):
        AnthropicTeacher(MessagesOptions()).check()


def test_an_address_without_its_protocol_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="base_url must begin with http"):
        MessagesOptions(base_url="127.0.0.1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "127.0.0.1")
    with pytest.raises(ConfigError, match="ANTHROPIC_BASE_URL must begin with http"):
        AnthropicTeacher(MessagesOptions()).check()


@pytest.mark.parametrize("url", ["http://me:hunter2@127.0.0.1:9", "http://127.0.0.1:9?api-key=hunter2"])
def test_an_address_that_holds_a_secret_is_refused_and_not_shown(monkeypatch, url):
    with pytest.raises(ValueError, match="base_url must hold no") as refused:
        MessagesOptions(base_url=url)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    with pytest.raises(ConfigError, match="ANTHROPIC_BASE_URL must hold no") as caught:
        AnthropicTeacher(MessagesOptions()).check()
    assert "hunter2" not in str(refused.value) + caught.value.message


def test_the_option_wins_over_the_environment_and_an_address_may_end_in_v1(monkeypatch, provider):
    chosen, other = provider(), provider()
    monkeypatch.setenv("ANTHROPIC_BASE_URL", other.root)
    ask(f"{chosen.root}/v1/")
    ask("")
    assert len(chosen.requests) == len(other.requests) == 1


def prepare(server, **values):
    return with_teacher(server, lambda teacher: teacher.prepare(), **values)


def test_the_day_on_which_a_model_is_retired_is_told(provider):
    today = datetime.now(UTC).date()
    for days, words in ((40, "in 40 days"), (1, "in one day"), (-3, "was to retire")):
        day = str(today + timedelta(days=days))
        (note,) = prepare(provider(shutdown={"claude-opus-5": day}), model="claude-opus-5")
        assert f"claude-opus-5 on {day}" in note and words in note and "--model NAME" in note


def test_the_sdk_knows_models_that_are_retired_where_the_server_does_not_say(provider):
    with script({}) as silent:
        for server in (provider(models=["claude-sonnet-4-5"]), silent):
            (note,) = prepare(server, model="claude-sonnet-4-5")
            assert "claude-sonnet-4-5 on 2026-11-30" in note


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"id": "claude-haiku-5-5"}),
        (200, ["claude-haiku-5-5"]),
        (200, {"id": "claude-haiku-5-5", "retires_at": "soon", "capabilities": {"thinking": {"types": None}}}),
        wrong("no", "not_found_error", 404),
        wrong("no", "permission_error", 403),
        wrong("no", "api_error", 500),
    ],
)
def test_a_server_that_does_not_say_anything_useful_is_asked_all_the_same(answer):
    with script({"GET /v1/models/claude-haiku-5-5": answer}) as server:
        assert prepare(server) == []
    assert len(server.requests) == 1


def test_a_wrong_key_costs_one_request(provider):
    server = provider(key="sk-ant-another-one")
    with pytest.raises(TeacherError) as caught:
        prepare(server)
    assert caught.value.kind == "auth" and server.stats()["model_lists"] == 1 and not server.requests


def test_prices_hold_on_anthropics_own_address_only(monkeypatch):
    price = AnthropicTeacher(MessagesOptions()).price()
    assert price is PRICES["claude-haiku-5-5"] and price.cost(Usage(1_000_000, 1_000_000)) == pytest.approx(0.60)
    assert AnthropicTeacher(MessagesOptions(base_url="https://api.anthropic.com")).price() is price
    assert AnthropicTeacher(MessagesOptions(model="claude-unheard-of")).price() is None
    assert AnthropicTeacher(MessagesOptions(base_url="http://127.0.0.1:1")).price() is None
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    assert AnthropicTeacher(MessagesOptions()).price() is None


def test_every_price_has_a_day_and_a_source():
    for price in PRICES.values():
        assert price.date and price.source and 0 < price.cached < price.input < price.cache_write < price.output
    assert price_of("claude-haiku-5-5-20261007") is PRICES["claude-haiku-5-5"] and price_of("claude-haiku") is None


def test_the_plugin_is_light_until_the_teacher_is_used():
    code = "import sys, alpaca_anthropic as a; print([s.name for s in a.alpaca_teachers()], 'anthropic' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "['anthropic'] False"


def test_the_teacher_keeps_the_protocols():
    (spec,) = alpaca_teachers()
    teacher = spec.load()(spec.options())
    assert isinstance(teacher, Teacher) and isinstance(teacher, BatchTeacher)
    assert spec.keys == ("ANTHROPIC_API_KEY",) and teacher.learnt == {}


def test_a_model_that_anthropic_does_not_know_is_told_before_anything_is_asked(monkeypatch, provider):
    """A server of another's may answer for models that it does not list."""
    server = provider(models=["claude-haiku-5-5"])
    assert prepare(server, model="claude-haiku-9") == []
    monkeypatch.setattr("alpaca_anthropic.server.OWN_HOST", "127.0.0.1")
    with pytest.raises(TeacherError, match="does not know the model 'claude-haiku-9'") as caught:
        prepare(server, model="claude-haiku-9")
    assert caught.value.kind == "not_found" and not server.requests
