"""Whether a training still learns, and whether its student is sound."""

import json
import math
import os
import shutil
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
import training

from alpaca_core import AlpacaError, ConfigError

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.timeout(120)

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


# The health of the loss


def go(losses, alone, vocabulary=1000, norm=1.0):
    """The health after ``losses``, one per step."""
    from alpaca_fsdp.health import Health

    health = Health(vocabulary)
    for step, loss in enumerate(losses):
        health.check(step, loss, norm, [], alone)
    return health


@pytest.mark.parametrize("seed", range(20))
def test_healthy_losses_pass(seed, alone):
    """From scratch and fine-tuned; a batch of one example, or of many; falling, level, in stairs, with rare spikes."""
    rng = Random(seed)
    start, end = rng.choice([(6.9, 1.0), (6.9, 6.0), (1.5, 1.0), (1.2, 0.02), (2.0, 2.0)])
    noise = rng.choice([0.05, 0.3, 1.0])
    steps = rng.choice([30, 400, 3000])
    stairs = rng.choice([1, 3, 100])
    losses = []
    for step in range(steps):
        mean = end + (start - end) * math.exp(-3 * math.floor(stairs * step / steps) / stairs)
        loss = mean * math.exp(rng.gauss(0, noise) - noise**2 / 2)
        losses.append(min(loss, 7.5) + (5 if step and rng.random() < 0.005 else 0))
    assert not go(losses, alone).doubtful or noise == 1.0


def test_a_loss_that_rises_and_stays_there_stops(alone):
    falling = [2 - step / 200 for step in range(200)]
    rising = [min(7.0, 1 + step / 10) for step in range(200)]
    with pytest.raises(AlpacaError, match="the loss rises") as error:
        go(falling + rising, alone)
    assert "trainer.learning_rate" in error.value.hint
    assert go(falling + rising[:60], alone).doubtful  # no checkpoint now


def test_a_loss_that_rises_from_the_start_stops(alone):
    with pytest.raises(AlpacaError, match="the loss rises"):
        go([1.2] * 20 + [7.0] * 100, alone)


def test_a_first_loss_worse_than_guessing_stops(alone):
    with pytest.raises(AlpacaError, match=r"the first loss is 9\.00, and guessing among 1,000 tokens .* 6\.91"):
        go([9.0], alone)
    go([math.log(1000) + 0.9, 9.0], alone)


def test_a_trained_student_that_starts_like_a_guess_is_told(alone, notes):
    from alpaca_fsdp.health import Health

    for trained, loss in ((False, 6.5), (True, 2.0), (True, 6.5)):
        Health(1000, trained).check(0, loss, 1.0, [], alone)
    assert [message.partition(":")[0] for _, message in notes] == ["the first loss is 6.50"]


def test_a_loss_of_zero_stops_after_three_steps(alone):
    assert go([0.0, 0.0, 1.0, 0.0, 0.0], alone).doubtful
    with pytest.raises(AlpacaError, match="exactly 0, 3 steps in a row"):
        go([0.0] * 3, alone)


def test_a_gradient_that_is_no_number_stops(alone):
    with pytest.raises(AlpacaError, match="not a finite number"):
        go([1.0], alone, norm=math.inf)


def test_the_health_goes_on_from_what_a_checkpoint_keeps(alone):
    from alpaca_fsdp.health import Health

    losses = [2 - step / 200 for step in range(200)] + [4.0] * 30
    whole = go(losses, alone)
    health = go(losses[:90], alone)
    health = Health(**json.loads(json.dumps(health.memory)))
    for step, loss in enumerate(losses[90:], 90):
        health.check(step, loss, 1.0, [], alone)
    assert health == whole


def test_the_worst_rows_come_first(alone):
    from alpaca_fsdp.health import worst

    examples = [SimpleNamespace(row=row) for row in (7, 8, 9)]
    row = SimpleNamespace(owners=torch.tensor([0, 0, 1, 2, 2]))
    assert worst([(examples, row, torch.tensor([1.0, 2.0, 9.0, 3.0, 3.0]))], alone) == [8, 9, 7]
    broken = torch.tensor([1.0, math.nan, 9.0, 3.0, math.inf])
    assert worst([(examples, row, broken)], alone, only_broken=True) == [7, 9]
    assert worst([([], row, torch.zeros(1))], alone) == []


# The student's files and its tokenizer


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    from transformers import LlamaConfig

    folder = tmp_path_factory.mktemp("student")
    data = training.write(folder)
    return training.student_folder(folder / "student", LlamaConfig(**SHAPE), data)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def copied(student, tmp_path):
    shutil.copytree(student, tmp_path / "student")
    return tmp_path / "student"


def test_a_sound_student_passes(student):
    from alpaca_fsdp import soundness

    soundness.check_files(student)


def test_truncated_weights_and_pointers_are_all_named(student, tmp_path):
    from alpaca_fsdp import soundness

    folder = copied(student, tmp_path)
    cut(folder / "model.safetensors")
    (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(ConfigError) as error:
        soundness.check_files(folder)
    first, second, third = error.value.problems
    assert first.startswith("model-00001-of-00002.safetensors: is named in")
    assert "model.safetensors: has" in second and "its header says" in second
    assert third == "tokenizer.json: is a Git LFS pointer, not the file itself"


@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"\xff" * 100, (4).to_bytes(8, "little") + b"[1]x"])
def test_what_is_no_safetensors_file_is_told(student, tmp_path, content):
    from alpaca_fsdp import soundness

    folder = copied(student, tmp_path)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match="is cut short|has no safetensors header"):
        soundness.check_files(folder)


def test_a_tokenizer_that_cannot_end_a_text_is_refused(student):
    from alpaca_fsdp import soundness
    from transformers import AutoConfig, AutoTokenizer

    words, config = AutoTokenizer.from_pretrained(student), AutoConfig.from_pretrained(student)
    soundness.check_words(words, config, "it")
    words.eos_token = words.unk_token
    with pytest.raises(ConfigError, match="the same id"):
        soundness.check_words(words, config, "it")
    words.bos_token = words.unk_token  # id 0 for all, as in early LLaMA conversions
    with pytest.raises(ConfigError, match="both id 0"):
        soundness.check_words(words, config, "it")
    words.eos_token = None
    with pytest.raises(ConfigError, match="nothing could ever end"):
        soundness.check_words(words, config, "it")


@pytest.mark.parametrize("name", ["LLaMATokenizer", "LlamaTokenizerFast", "TokenizerOfNobody"])
def test_a_tokenizer_is_what_its_files_say_whatever_class_they_name(student, tmp_path, name):
    """Early conversions name classes that were renamed or never released."""
    from alpaca_fsdp.student import load

    folder = copied(student, tmp_path)
    about = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(about | {"tokenizer_class": name}))
    (before, after) = (load(where)[1]("Name two  birds.")["input_ids"] for where in (student, folder))
    assert after == before


def test_a_config_that_disagrees_with_the_tokenizer_is_told(student):
    from alpaca_fsdp import soundness
    from transformers import AutoConfig, AutoTokenizer

    words, config = AutoTokenizer.from_pretrained(student), AutoConfig.from_pretrained(student)
    config.eos_token_id, config.bos_token_id = 77, words.bos_token_id
    (note,) = soundness.differences(words, config)
    assert note.startswith("eos_token_id is 77 in the model's config")


# The two together


def test_a_first_step_that_is_broken_writes_no_checkpoint(student, tmp_path, alone, notes):
    """A student whose weights are damaged is told by its first loss, in a training of one process."""
    from alpaca_fsdp import job as jobs
    from alpaca_fsdp import loop
    from alpaca_fsdp.data import load_template, read
    from alpaca_fsdp.examples import tokenize
    from alpaca_fsdp.student import load

    decided = jobs.decide(training.job(training.write(tmp_path), tmp_path, student=str(student)), sharded=False)
    model, words = load(decided.base)
    with torch.no_grad():
        model.lm_head.weight.mul_(3000)
    tokens, _ = tokenize(read(decided.data), load_template(decided.template, {}), words, 512)
    options = replace(decided.options, save_steps=1, micro_tokens=4096)
    run = loop.Training(options, 0, tokens, model, words.eos_token_id, alone, torch.float32)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    decided.checkpoints.mkdir()
    with pytest.raises(AlpacaError, match=r"Step 1: the first loss is .* Rows of the data: \d+, "):
        run.run(decided.checkpoints, SimpleNamespace(asked_to_stop=False))
    assert list(decided.checkpoints.iterdir()) == [] and all(
        weight.equal(before[name]) for name, weight in model.state_dict().items()
    )
