"""The chat template of Stanford Alpaca."""

from alpaca_core import ChatTemplateSpec, hookimpl


@hookimpl
def alpaca_chat_templates():
    return [
        ChatTemplateSpec(
            name="alpaca",
            target="alpaca_templates.alpaca:AlpacaTemplate",
            summary="Stanford Alpaca's training prompt, byte for byte.",
        )
    ]
