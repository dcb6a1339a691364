"""The prompt that Stanford Alpaca was trained on: ``PROMPT_DICT`` of ``train.py`` in tatsu-lab/stanford_alpaca."""

from __future__ import annotations

from alpaca_core import Example

_TASK = "Below is an instruction that describes a task"
_ANSWER = "Write a response that appropriately completes the request."
PREAMBLE = f"{_TASK}. {_ANSWER}"
PREAMBLE_WITH_INPUT = f"{_TASK}, paired with an input that provides further context. {_ANSWER}"

# Jinja with nothing but loops and conditions, so that other engines than transformers read it too. Messages beyond the
# published single turn: a system message stands in place of the preamble, later turns go on without one.
_JINJA = (
    "{%- set ns = namespace(preamble='', first=true) -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}"
    "{%- set ns.preamble = message['content'] -%}"
    "{%- elif message['role'] == 'user' -%}"
    "{%- if ns.first -%}"
    "{%- set ns.first = false -%}"
    "{%- if bos_token is defined and bos_token -%}{{- bos_token -}}{%- endif -%}"
    "{%- if ns.preamble -%}{{- ns.preamble -}}"
    "{%- elif message['input'] -%}{{- WITH_INPUT -}}"
    "{%- else -%}{{- WITHOUT_INPUT -}}{%- endif -%}"
    "{%- endif -%}"
    "{{- '\\n\\n### Instruction:\\n' + message['content'] -}}"
    "{%- if message['input'] -%}{{- '\\n\\n### Input:\\n' + message['input'] -}}{%- endif -%}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{{- '\\n\\n### Response:' + message['content'] + eos_token -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '\\n\\n### Response:' -}}{%- endif -%}"
)

# Go's templates as Ollama's Modelfile has them; a message has no input of its own there. EOS_TOKEN is the model's.
_OLLAMA = (
    'SYSTEM """PREAMBLE"""\n'
    'TEMPLATE """{{ .System }}{{ range .Messages }}'
    '{{ if eq .Role "user" }}\n\n### Instruction:\n{{ .Content }}'
    '{{ else if eq .Role "assistant" }}\n\n### Response:{{ .Content }}EOS_TOKEN{{ end }}'
    '{{ end }}\n\n### Response:"""\n'
    'PARAMETER stop "### Instruction:"\n'
)


class AlpacaTemplate:
    """Renders an example as Alpaca's training prompt and its response.

    ``jinja`` is the same as a tokenizer chat template. The task's input is the extra key ``input`` of the user
    message; an example without one leaves the key out or empty. The prompt ends right after ``### Response:``.
    ``ollama`` is the same without inputs, as lines of an Ollama Modelfile.
    """

    ollama = _OLLAMA.replace("PREAMBLE", PREAMBLE)

    jinja = _JINJA.replace("WITHOUT_INPUT", repr(PREAMBLE)).replace("WITH_INPUT", repr(PREAMBLE_WITH_INPUT))

    def prompt(self, example: Example) -> str:
        """What the student reads."""
        if example.input:
            return (
                f"{PREAMBLE_WITH_INPUT}\n\n### Instruction:\n{example.instruction}"
                f"\n\n### Input:\n{example.input}\n\n### Response:"
            )
        return f"{PREAMBLE}\n\n### Instruction:\n{example.instruction}\n\n### Response:"

    def response(self, example: Example) -> str:
        """What the student learns to write: the output, which follows the colon without a space."""
        return example.output
