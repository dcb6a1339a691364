"""The SDKs of OpenAI and of Anthropic as clients of the tests' provider."""

# ruff: noqa: TID253 - a test may load anything

from __future__ import annotations

import asyncio

import anthropic
import openai


def openai_client(server, key="sk-test"):
    return openai.AsyncOpenAI(api_key=key, base_url=server.url, max_retries=0)


def anthropic_client(server, key="sk-test"):
    return anthropic.AsyncAnthropic(api_key=key, base_url=server.root, max_retries=0)


def by_chat(server, prompt, **given):
    chat = openai_client(server).chat.completions
    messages = [{"role": "user", "content": prompt}]
    return asyncio.run(chat.create(**{"model": "any", "messages": messages} | given))


def by_response(server, prompt, **given):
    return asyncio.run(openai_client(server).responses.create(**{"model": "any", "input": prompt} | given))


def by_messages(server, prompt, **given):
    messages = [{"role": "user", "content": prompt}]
    create = anthropic_client(server).messages.create
    return asyncio.run(create(**{"model": "any", "messages": messages, "max_tokens": 9000} | given))
