"""``alpacakit export`` of models: the folder, its card, its chat template in other engines, GGUF, Ollama, adapters."""

from __future__ import annotations

import json
import re
import shutil
import sys
from functools import cache

import pytest
import yaml
from alpaca_templates.alpaca import PREAMBLE, AlpacaTemplate
from hypothesis import given
from hypothesis import strategies as st
from local_models import babbler

from alpaca_core import Example
from alpaca_core.cli.main import main
from alpaca_core.sharing.modelcards import Model
from alpaca_core.sharing.modelfolders import chat_template, modelfile

STAMP = {
    "identity": {"epochs": 3.0, "learning_rate": 2e-05, "batch_size": 128, "lora_rank": None, "data": "ab" * 32},
    "facts": {"student": "/home/somebody/models/base-7b", "rows": 1234, "steps": 29},
    "result": {
        "model": "/home/somebody/runs/first/model",
        "base": "/home/somebody/models/base-7b",
        "strategy": "fsdp",
        "world_size": 2,
        "steps": 29,
        "tokens": 99_000,
        "final_loss": 0.7364,
        "seconds": 12.0,
        "parameters": 12_345,
        "lora": None,
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with a model in it, as a training leaves it."""
    from transformers import AutoTokenizer

    run = tmp_path_factory.mktemp("runs") / "first"
    assert main(["run", "--trainer", "none", "-n", "300", "--out", str(run)]) == 0
    model = babbler(run / "model")
    words = AutoTokenizer.from_pretrained(model)
    words.chat_template = AlpacaTemplate.jinja
    words.save_pretrained(model)
    (model / "alpacakit.json").write_text(json.dumps(STAMP))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"alpacakit": STAMP["facts"]}))
    summary = json.loads((run / "summary.json").read_text())
    scores = {"exact_match": 0.25, "rouge_l": 0.5}
    evaluation = {"heldout": 30, "before": {"exact_match": 0.0, "rouge_l": 0.1}, "after": scores}
    (run / "summary.json").write_text(json.dumps(summary | {"evaluation": evaluation}))
    return run


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("shared") / "model"
    assert main(["export", str(run), "--model", "--out", str(out), "--license", "apache-2.0"]) == 0
    return out


def test_the_model_is_there_bit_for_bit_and_nothing_private(run, folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in (run / "model").iterdir()} - {"alpacakit.json"} | {"README.md", "Modelfile"}
    for name in names - {"README.md", "Modelfile", "config.json"}:
        assert (folder / name).read_bytes() == (run / "model" / name).read_bytes(), name
    for path in folder.iterdir():
        assert b"somebody" not in path.read_bytes(), path.name


def test_it_loads_with_the_logits_it_had(run, folder):
    import torch
    from transformers import AutoModelForCausalLM

    tokens = torch.arange(4, 40)[None]
    before, after = (AutoModelForCausalLM.from_pretrained(at)(tokens).logits for at in (run / "model", folder))
    assert torch.equal(before, after)


def test_the_card_tells_base_settings_scores_data_and_licence(folder):
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "apache-2.0",
        "language": ["en"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["alpaca", "alpacakit", "instruction-tuning"],
    }
    for told in (
        "# first",
        "`base-7b`, fine-tuned on 1,234 examples",
        "| peak learning rate | 2e-05 |",
        "| last training loss | 0.7364 |",
        "| after | 25.0% | 0.500 |",
        "teacher `procedural`",
        "The licence of the base, `base-7b`, holds",
        "No language model",
        "the key `input`",
    ):
        assert told in " ".join(text.split()), told


def test_a_base_is_named_to_the_hub_where_it_is_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "llama").mkdir(parents=True)
    bases = ("huggyllama/llama-7b", "models/llama", "/data/llama", "./models/x", "new:tiny", "a/b/c", "")
    assert [Model("m", base=base).on_the_hub for base in bases] == ["huggyllama/llama-7b", *[""] * 6]


def test_the_code_on_the_card_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    code = re.search("```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[1]
    exec(code.replace("max_new_tokens=256", "max_new_tokens=4"), {})
    assert capsys.readouterr().out.strip()


# -- the chat template


@cache
def compiled(jinja: str):
    """By Jinja as it comes, without what transformers adds to it."""
    from jinja2 import Environment

    return Environment().from_string(jinja)


def plain(jinja: str, **variables: object) -> str:
    return compiled(jinja).render(bos_token="<s>", eos_token="</s>", **variables)


text = st.text(max_size=40)
user = st.builds(lambda content, given: {"role": "user", "content": content, **given}, text,
                 st.one_of(st.just({}), st.builds(lambda given: {"input": given}, text)))  # fmt: skip
pair = st.tuples(user, st.builds(lambda content: {"role": "assistant", "content": content}, text))
conversations = st.builds(
    lambda system, pairs, last: [*system, *(turn for pair in pairs for turn in pair), *last],
    st.one_of(st.just([]), st.builds(lambda content: [{"role": "system", "content": content}], text)),
    st.lists(pair, max_size=3),
    st.one_of(st.just([]), st.builds(lambda turn: [turn], user)),
)


@pytest.fixture(scope="module")
def words(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@given(st.tuples(conversations, conversations), st.booleans())
def test_the_chat_template_renders_equally_in_transformers_and_plain_jinja(folder, words, both, ask):
    """200 wild conversations, of no, one and several turns, with inputs and without."""
    for messages in both:
        there = words.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask) if messages else None
        here = plain(chat_template(folder), messages=messages, add_generation_prompt=ask)
        assert there in (here, None)


@given(text, text, text)
def test_a_single_turn_is_the_prompt_that_was_trained_on(folder, instruction, given, output):
    template, row = AlpacaTemplate(), Example(instruction, given, output)
    messages = [{"role": "user", "content": instruction, "input": given}]
    asked = plain(chat_template(folder), messages=messages, add_generation_prompt=True)
    assert asked == "<s>" + template.prompt(row)
    messages.append({"role": "assistant", "content": output})
    assert plain(chat_template(folder), messages=messages) == asked + output + "</s>"


def test_a_tag_that_only_transformers_knows_is_left_out_of_the_plain_copy(run, tmp_path):
    from transformers import AutoTokenizer

    model = shutil.copytree(run / "model", tmp_path / "tagged")
    answer = "message['content'] + eos_token"
    tagged = AlpacaTemplate.jinja.replace(
        f"{{{{- '\\n\\n### Response:' + {answer} -}}}}",
        f"{{{{- '\\n\\n### Response:' -}}}}{{% generation %}}{{{{- {answer} -}}}}{{%- endgeneration -%}}",
    )
    assert tagged != AlpacaTemplate.jinja
    (model / "chat_template.jinja").write_text(tagged)
    out = tmp_path / "out"
    assert main(["export", str(model), "--out", str(out)]) == 0
    assert chat_template(out) == tagged
    messages = [{"role": "user", "content": "Say hello."}, {"role": "assistant", "content": "Hello."}] * 2
    there = AutoTokenizer.from_pretrained(out).apply_chat_template(messages, tokenize=False)
    assert plain((out / "chat_template_plain.jinja").read_text(), messages=messages) == there
    assert "chat_template_plain.jinja" in (out / "README.md").read_text()


# -- Ollama


def go(template: str, system: str, messages: list[dict[str, str]]) -> str:
    """What Go's text/template makes of ``template``: only what it is known to hold, anything else fails."""
    match = re.fullmatch(
        r"\{\{ \.System \}\}\{\{ range \.Messages \}\}\{\{ if eq \.Role \"user\" \}\}(.*)\{\{ \.Content \}\}"
        r"\{\{ else if eq \.Role \"assistant\" \}\}(.*)\{\{ \.Content \}\}(.*)\{\{ end \}\}\{\{ end \}\}(.*)",
        template,
        re.DOTALL,
    )
    question, answer, end, asks = match.groups()
    assert "{{" not in question + answer + end + asks
    told = [question + m["content"] if m["role"] == "user" else answer + m["content"] + end for m in messages]
    return system + "".join(told) + asks


@given(st.text(), st.text())
def test_the_modelfile_renders_the_prompt_that_was_trained_on(folder, instruction, output):
    lines = (folder / "Modelfile").read_text()
    system = re.search('^SYSTEM """(.*)"""$', lines, re.MULTILINE)[1]
    template = re.search('^TEMPLATE """(.*?)"""$', lines, re.MULTILINE | re.DOTALL)[1]
    assert system == PREAMBLE
    user, said = {"role": "user", "content": instruction}, {"role": "assistant", "content": output}
    assert go(template, system, [user]) == AlpacaTemplate().prompt(Example(instruction, "", ""))
    several = plain(chat_template(folder), messages=[user, said, user], add_generation_prompt=True)
    assert "<s>" + go(template, system, [user, said, user]) == several


def test_the_modelfile_names_the_model_and_where_answers_end(folder):
    lines = (folder / "Modelfile").read_text().splitlines()
    assert lines[0] == "FROM ." and lines[-2:] == ['PARAMETER stop "### Instruction:"', 'PARAMETER stop "</s>"']
    assert modelfile("x.gguf", None, "</s>") == 'FROM ./x.gguf\nPARAMETER stop "</s>"\n'


# -- GGUF: the converter is llama.cpp's; tests/benchmarks/sharing.py runs the real one

CONVERTER = "import pathlib, sys; pathlib.Path(sys.argv[3]).write_bytes(b'GGUF' + sys.argv[1].encode())"


@pytest.mark.parametrize("how", ["file", "folder", "variable", "path"])
def test_the_converter_is_found_and_its_file_lies_in_the_folder(run, tmp_path, monkeypatch, how):
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text(f"#!{sys.executable}\n{CONVERTER}\n")
    script.chmod(0o755)
    if how == "variable":
        monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    if how == "path":
        monkeypatch.setenv("PATH", str(tmp_path))
    named = {"file": ["--llama-cpp", str(script)], "folder": ["--llama-cpp", str(tmp_path)]}.get(how, [])
    assert main(["export", str(run / "model"), "--out", str(tmp_path / "out"), "--gguf", *named]) == 0
    assert (tmp_path / "out" / "first.gguf").read_bytes().startswith(b"GGUF")
    assert (tmp_path / "out" / "Modelfile").read_text().startswith("FROM ./first.gguf\n")


def test_without_a_converter_it_says_how_to_get_it(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert main(["export", str(run), "--out", str(tmp_path / "out"), "--gguf"]) == 3
    said = capsys.readouterr().err
    assert "git clone --depth 1 https://github.com/ggml-org/llama.cpp" in said and "--llama-cpp" in said


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import gguf_that_nobody_has", "pip install gguf_that_nobody_has"),
        ("raise SystemExit('Model BabblerForCausalLM is not supported')", "BabblerForCausalLM is not supported"),
        ("pass", "wrote no GGUF file"),
    ],
)
def test_a_converter_that_fails_is_told_and_leaves_nothing(run, tmp_path, capsys, code, says):
    (tmp_path / "convert.py").write_text(code)
    flags = ["--out", str(tmp_path / "out"), "--llama-cpp", str(tmp_path / "convert.py")]
    assert main(["export", str(run / "model"), *flags]) == 1
    assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["convert.py"]


# -- adapters


def test_an_adapter_is_merged_into_its_base(run, tmp_path):
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(run / "model")
    torch.manual_seed(0)
    made = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.1)
    adapter = tmp_path / "tuned" / "adapter"
    made.save_pretrained(adapter)
    for file in (run / "model").glob("*token*"):
        shutil.copy(file, adapter)
    (adapter / "chat_template.jinja").write_text(AlpacaTemplate.jinja)
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "tuned"), "--out", str(out)]) == 0
    tokens = torch.arange(4, 40)[None]
    plain = AutoModelForCausalLM.from_pretrained(run / "model")
    apart = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(run / "model"), adapter)(tokens).logits
    merged = AutoModelForCausalLM.from_pretrained(out)(tokens).logits
    assert torch.allclose(merged, apart, atol=1e-4) and not torch.allclose(merged, plain(tokens).logits, atol=1e-2)
    assert "`model`, fine-tuned" in (out / "README.md").read_text()
    assert not (out / "adapter_config.json").exists() and "SYSTEM" in (out / "Modelfile").read_text()


@pytest.mark.parametrize("name", ["summary.json", "model/config.json", "model/alpacakit.json"])
def test_a_damaged_record_of_a_model_is_refused_and_nothing_written(run, tmp_path, capsys, name):
    damaged = shutil.copytree(run, tmp_path / "damaged")
    (damaged / name).write_text('{"identity": 3, "evaluation": {"after": 1}}' if "config" not in name else "{")
    assert main(["export", str(damaged), "--model", "--out", str(tmp_path / "out")]) == 2
    assert "records of" in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_a_folder_without_a_model_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["export", str(tmp_path / "empty"), "--model", "--out", str(tmp_path / "out")]) == 2
    assert "holds no model" in capsys.readouterr().err
