"""What others make of what alpacakit exports: TRL trains on it, llama.cpp's converter turns it into GGUF.

    python tests/benchmarks/sharing.py --trl PYTHON --llama-cpp PATH

``--trl`` is the Python of an environment with TRL, ``--llama-cpp`` a checkout of llama.cpp. Either may be left out. A
practice run of 300 rows is made, with a student of one training step; then

* ``trl sft`` runs on the folder of ``export --config trl``, with its own flag for CPUs and no other change;
* SFTTrainer is given the file of ``export --format messages`` as ``datasets`` loads it;
* what TRL supervises is compared with the chat template: no token of the prompt, all of the output and its end;
* the GGUF file is read back: tensors, tokens, chat template, end of text.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ALPACAKIT = (sys.executable, "-m", "alpaca_core")

# Runs in TRL's environment, in the exported folder: argv is the student and the messages file.
LABELS = """
import json, sys
from datasets import load_dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

student, messages = sys.argv[1:]
how = {"use_cpu": True, "bf16": False, "report_to": "none", "logging_steps": 1, "max_length": 512}
words = AutoTokenizer.from_pretrained(student)
rows = load_dataset("json", data_files="train.jsonl", split="train")
made = SFTTrainer(
    student, SFTConfig("labels", chat_template_path="chat_template.jinja", **how), train_dataset=rows
).train_dataset
right = 0
for row, given in zip(rows, made, strict=True):
    ask = words.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)["input_ids"]
    whole = words.apply_chat_template(row["prompt"] + row["completion"], return_dict=True)["input_ids"]
    masked = [-100] * len(ask) + whole[len(ask):]
    right += given["input_ids"] == whole and given["labels"] == masked and whole[-1] == words.eos_token_id
print(json.dumps({"rows": len(rows), "right": right}))
rows = load_dataset("json", data_files=messages, split="train")
trainer = SFTTrainer(student, SFTConfig("messages", max_steps=6, learning_rate=1e-3, **how), train_dataset=rows)
trainer.train()
print(json.dumps({"losses": [log["loss"] for log in trainer.state.log_history if "loss" in log]}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", type=Path, metavar="PYTHON")
    parser.add_argument("--llama-cpp", type=Path, metavar="PATH")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        alpacakit("run", "--trainer", "none", "-n", "300", "--out", here / "run")
        one_step = ("--trainer", "local", "--student", "new:tiny", "--set", "trainer.max_steps=1")
        alpacakit("train", here / "run", *one_step, "--out", here / "trained")
        if flags.trl:
            trl(flags.trl, here)
        if flags.llama_cpp:
            gguf(flags.llama_cpp, here)


def alpacakit(*words: object) -> None:
    subprocess.run([*ALPACAKIT, *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def trl(python: Path, here: Path) -> None:
    student, folder, messages = here / "trained" / "model", here / "trl", here / "messages.jsonl"
    alpacakit("export", here / "run", "--config", "trl", "--student", student, "--out", folder)
    alpacakit("export", here / "run", "--format", "messages", "--out", messages)
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(here / "cache"), "PYTHONPATH": ""}

    def told(*line: object) -> str:
        done = subprocess.run(list(map(str, line)), cwd=folder, env=quiet, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{line[:2]} failed:\n{done.stderr[-2000:]}")
        return done.stdout + done.stderr

    said = told(python.parent / "trl", "sft", "--config", "sft.yaml", "--use_cpu")
    losses = [float(loss) for loss in re.findall(r"'loss': '?([\d.e-]+)", said)]
    epoch = len(losses) // 3
    first, last = (sum(part) / epoch for part in (losses[:epoch], losses[-epoch:]))
    print(f"trl sft --config sft.yaml: {len(losses)} steps, mean loss {first:.4f} in epoch 1, {last:.4f} in epoch 3")
    answers = [line for line in told(python, "-c", LABELS, student, messages).splitlines() if line.startswith('{"')]
    labels, learnt = map(json.loads, answers)
    print(f"labels: {labels['right']} of {labels['rows']} rows supervise the output and its end, and nothing else")
    print(f"messages by SFTTrainer: loss {learnt['losses'][0]:.3f} to {learnt['losses'][-1]:.3f}")
    assert last < first and learnt["losses"][-1] < learnt["losses"][0]
    assert labels["right"] == labels["rows"]


def gguf(llama_cpp: Path, here: Path) -> None:
    folder = here / "shared"
    alpacakit("export", here / "trained", "--out", folder, "--gguf", "--llama-cpp", llama_cpp)
    checkout = llama_cpp if llama_cpp.is_dir() else llama_cpp.parent
    sys.path.insert(0, str(checkout / "gguf-py"))
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    (file,) = folder.glob("*.gguf")
    reader = GGUFReader(file)
    found = {name: field.contents() for name, field in reader.fields.items()}
    assert found["tokenizer.chat_template"] == words.chat_template
    assert found["tokenizer.ggml.eos_token_id"] == words.eos_token_id
    assert found["tokenizer.ggml.bos_token_id"] == words.bos_token_id
    assert len(found["tokenizer.ggml.tokens"]) == len(words)
    numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert numbers == sum(weight.numel() for weight in model.parameters())
    kinds = sorted({tensor.tensor_type.name for tensor in reader.tensors})
    print(f"{file.name}: {len(reader.tensors)} tensors of {' and '.join(kinds)}, {numbers:,} numbers as in the model;")
    print(f"  {len(words):,} tokens, end of text {words.eos_token_id}, the chat template to the letter")


if __name__ == "__main__":
    main()
