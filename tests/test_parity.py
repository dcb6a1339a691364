"""The preset alpaca-2023 is the published training: its ids, batches and losses. And one pass is as good as two."""

import json
from functools import cache
from itertools import chain

import pytest
import torch  # noqa: TID253
import training
from alpaca_fsdp import cache as tokens_cache
from alpaca_fsdp import data, encoding, loop, published, student, tokenizer
from alpaca_fsdp.examples import tokenize
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.order import TrainerOrder
from alpaca_fsdp.recipes import resolved
from alpaca_fsdp.world import World
from alpaca_templates.alpaca import AlpacaTemplate
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import ConfigError, Example

pytestmark = pytest.mark.timeout(120)
IGNORED = -100
LENGTH = 250
TEMPLATE = AlpacaTemplate()
ODD = [
    {"instruction": "Comment a line.", "input": "x = 1", "output": "// x is one\nx = 1"},
    {"instruction": "Start a path.", "input": "", "output": "//server/share"},
    {"instruction": "Say what ends a text.", "input": "", "output": "It is </s>, and <s> begins one."},
    {"instruction": "Count them: " + "pear plum " * 60, "input": "", "output": "sixty"},  # the prompt is too long
    {"instruction": "Write on.", "input": "", "output": "river stone " * 60},  # the answer is
    {"instruction": "Say nothing.", "input": "", "output": ""},
    {"instruction": "A [PAD] and a <pad> in it.", "input": "one\ttwo\r\n", "output": " a space first"},
    {"instruction": "Accents", "input": "", "output": "\u0301 is combined, 東京 is not\n\n"},
]


def rows() -> list[Example]:
    return [Example(**row) for row in [*training.rows(21), *ODD]]


# ── tokenizers of several families, trained on the spot ─────────────────────────────────────────────────────────────


@cache
def words(family: str):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [text for row in rows() for text in (TEMPLATE.prompt(row), row.output)] + ["Response:// http://a " * 9]
    if family == "llama":
        return tokenizer.build(tokenizer.train(texts, 500))
    if family == "template":
        return tokenizer.build(tokenizer.train(texts, 500), data.fixed_lines(TEMPLATE))
    wordpiece = family == "wordpiece"
    made = Tokenizer(models.WordPiece(unk_token="<unk>") if wordpiece else models.BPE())
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    if wordpiece:
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=special)
    else:
        made.normalizer = normalizers.NFC()
        splits = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family == "gpt2")]
        if family == "regex":
            cut = (
                r"(?i:'s|'t|'ll)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            )
            splits.insert(0, pre_tokenizers.Split(Regex(cut), "isolated"))
        made.pre_tokenizer = pre_tokenizers.Sequence(splits)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=500, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    made.train_from_iterator(texts, trainer)
    single = "<s> $A </s>" if wordpiece else "<s> $A"
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])
    names = dict(zip(("unk_token", "bos_token", "eos_token", "pad_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=made, truncation_side="right", **names)


FAMILIES = ("llama", "template", "gpt2", "regex", "wordpiece")


# ── token ids ───────────────────────────────────────────────────────────────────────────────────────────────────────


def preprocessed(examples, words, max_length):
    """Ids and labels in the published way: each text by itself, prompt and whole apart."""
    found = []
    for example in examples:
        prompt = TEMPLATE.prompt(example)
        ids, alone = (
            torch.tensor(words(text, truncation=True, max_length=max_length)["input_ids"])
            for text in (prompt + example.output + words.eos_token, prompt)
        )
        labels = ids.clone()
        labels[: alone.ne(words.pad_token_id).sum()] = IGNORED
        found.append((ids.tolist(), labels.tolist()))
    return found


def labelled(each) -> tuple[list[int], list[int]]:
    ids = each.ids.tolist()
    return ids, [IGNORED] * each.prompt + ids[each.prompt :]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("max_length", [40, 512])
def test_ids_and_labels_are_those_of_the_published_preprocessing(family, max_length):
    found, too_long = tokenize(rows(), TEMPLATE, words(family), max_length, "text")
    expected = preprocessed(rows(), words(family), max_length)
    assert [each.row for each in found] == list(range(len(expected)))  # none is left out
    assert [labelled(each) for each in found] == expected
    assert too_long == [row for row, (_, labels) in enumerate(expected) if set(labels) == {IGNORED}]


def test_a_prompt_that_merges_with_its_answer_occurs_in_these_rows():
    """Else the tests above would say nothing about it."""
    llama = words("llama")
    prompt, whole = (
        llama(text)["input_ids"] for text in (TEMPLATE.prompt(rows()[22]), TEMPLATE.prompt(rows()[22]) + "//")
    )
    assert whole[: len(prompt)] != prompt


@pytest.mark.parametrize(("family", "one"), [(name, name != "wordpiece") for name in FAMILIES])
def test_one_pass_is_taken_where_it_is_as_good_as_two(family, one):
    assert encoding.one_pass(words(family), special=True) is one


TEXT = st.text(st.one_of(st.sampled_from("ab: /\n'sl1 \u0301é東</>"), st.characters(codec="utf-8")), max_size=12)


@given(
    family=st.sampled_from(FAMILIES),
    pairs=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5),
    by_text=st.booleans(),
)
@settings(max_examples=100)
def test_one_pass_finds_what_two_find(family, pairs, by_text):
    how = (
        {"truncation": True, "max_length": 9}
        if by_text
        else {"add_special_tokens": False, "split_special_tokens": True}
    )
    prompts = [begin for begin, _ in pairs]
    wholes = [begin + rest for begin, rest in pairs]
    ids, lengths = encoding.encode(prompts, wholes, words(family), **how)
    assert ids == [words(family)(whole, **how)["input_ids"] for whole in wholes]
    assert lengths == [len(words(family)(prompt, **how)["input_ids"]) for prompt in prompts]


# ── the file of tokens ──────────────────────────────────────────────────────────────────────────────────────────────


class Refused(Exception):
    pass


def refuse(*_, **__):
    raise Refused


def stored(file, examples, words, length=512):
    found, too_long = tokens_cache.tokens(file, examples, TEMPLATE, words, length, "ids")
    return [(labelled(each), each.row) for each in found], too_long


def silent(words):
    """The same tokenizer, which refuses to tokenise."""
    kind = type(words)
    words.__class__ = type(kind.__name__, (kind,), {"__call__": refuse, "__module__": kind.__module__})
    return words


def test_what_is_tokenised_once_is_read_again(tmp_path):
    file, made = tmp_path / tokens_cache.NAME, tokenizer.build(tokenizer.train(["a b c // d " * 9], 300))
    first = stored(file, rows(), made, 200)
    assert first[1] and stored(file, rows(), silent(made), 200) == first
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_tokens_of_something_else_or_in_a_damaged_file_are_not_used(tmp_path):
    file, made = tmp_path / tokens_cache.NAME, tokenizer.build(tokenizer.train(["a b c // d " * 9], 300))
    stored(file, rows(), made)
    whole = file.read_bytes()
    silent(made)
    for examples, length in ((rows()[1:], 512), (rows(), 100)):
        with pytest.raises(Refused):
            stored(file, examples, made, length)
    for damaged in (b"", whole[:4], whole[:-9]):
        file.write_bytes(damaged)
        with pytest.raises(Refused):
            stored(file, rows(), made)


def test_the_first_process_tokenises_and_the_others_read(base, tmp_path):
    from alpaca_fsdp import job as jobs
    from alpaca_fsdp.run import _tokens

    rows = base / "rows.json"
    job = jobs.decide(training.job(rows, tmp_path, student=str(base), preset="alpaca-2023"), sharded=False)
    job.checkpoints.mkdir()
    examples, (_, made) = data.read(rows), student.load(base, job.options.pad_row)
    cpu = torch.device("cpu")
    found = []
    for rank in (0, 1):
        tokens, _ = _tokens(job, examples, TEMPLATE, made, World(rank, 1, cpu, False))
        found.append([labelled(each) for each in tokens])
        silent(made)
    assert found[0] == found[1] and len(found[0]) == len(examples)


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def accelerated(n: int, micro: int, processes: int, seed: int, epochs: int) -> list[list[list[int]]]:
    """The examples of every epoch as accelerate's loaders of all processes read them, micro-batch by micro-batch."""
    from accelerate.data_loader import prepare_data_loader
    from torch.utils.data import DataLoader, RandomSampler

    found = []
    for process in range(processes):
        plain = DataLoader(range(n), batch_size=micro, sampler=RandomSampler(range(n)), collate_fn=list)
        shape = {"num_processes": processes, "process_index": process, "put_on_device": False}
        loader = prepare_data_loader(plain, use_seedable_sampler=True, data_seed=seed, **shape)
        loader.set_epoch(0)
        found.append([(loader.set_epoch(epoch), list(loader))[1] for epoch in range(epochs)])
    return [[list(chain(*micros)) for micros in zip(*epoch, strict=True)] for epoch in zip(*found, strict=True)]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 5, 23, 24, 25])
def test_the_order_is_that_of_trainer(n, processes):
    """Batches of three micro-batches per process."""
    order = TrainerOrder(n, 2 * processes * 3, 7, 2, processes)
    for epoch, micros in enumerate(accelerated(n, 2, processes, 7, epochs=3)):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        batches = [list(chain(*micros[i : i + 3])) for i in range(0, len(micros), 3)]
        assert [order.batch(step) for step in steps] == batches


def test_a_batch_that_trainer_cannot_make_is_refused():
    options = LocalOptions(stepping="trainer", batch_size=10, micro_batch=4)
    with pytest.raises(ConfigError, match="no multiple of 8: trainer.micro_batch 4 x 2 process"):
        published.order(options, 100, 0, 2)


def taught() -> list[Example]:
    """The rows without the pad token, which the published collator hides wherever it is."""
    return [row for row in rows() if "[PAD]" not in row.instruction]


# ── losses ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_row_for_padding_is_the_mean_of_the_others_in_both_embeddings(base):
    model, words = student.load(base)
    before = [embeddings.weight.clone() for embeddings in (model.get_input_embeddings(), model.get_output_embeddings())]
    assert words.pad_token == "<unk>"
    model, words = student.load(base, pad_row=True)
    assert (words.pad_token, words.pad_token_id) == ("[PAD]", len(before[0]))
    for old, embeddings in zip(before, (model.get_input_embeddings(), model.get_output_embeddings()), strict=True):
        assert torch.equal(embeddings.weight, torch.cat([old, old.mean(0, keepdim=True)]))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny LLaMA whose tokenizer has no pad token, as the published one has none."""
    from transformers import AutoTokenizer, LlamaConfig

    folder = tmp_path_factory.mktemp("base")
    rows = folder / "rows.json"
    rows.write_text(json.dumps([*training.rows(21), *ODD]))
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    training.student_folder(folder, LlamaConfig(**shape, tie_word_embeddings=False, initializer_range=0.2), rows)
    words = AutoTokenizer.from_pretrained(folder)
    words.pad_token = None
    words.save_pretrained(folder)
    return folder


def published_losses(base, folder, micro: int, accumulate: int, kwargs: bool) -> list[float]:
    """The loss of every step of two epochs by transformers' Trainer on padded batches, in the published recipe."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    words, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    words.add_special_tokens({"pad_token": "[PAD]"})
    model.resize_token_embeddings(len(words))
    for embeddings in (model.get_input_embeddings(), model.get_output_embeddings()):
        embeddings.weight.data[-1:] = embeddings.weight.data[:-1].mean(0, keepdim=True)

    def collate(examples):
        ids, labels = (
            torch.nn.utils.rnn.pad_sequence([torch.tensor(e[i]) for e in examples], batch_first=True, padding_value=pad)
            for i, pad in ((0, words.pad_token_id), (1, IGNORED))
        )
        return {"input_ids": ids, "labels": labels, "attention_mask": ids.ne(words.pad_token_id)}

    class Watched(Trainer):
        found: list[float] = []

        def training_step(self, *arguments, **named):
            loss = super().training_step(*arguments, **named)
            while len(self.found) <= self.state.global_step:
                self.found.append(0.0)
            self.found[self.state.global_step] += loss.item()
            return loss

    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulate,
        num_train_epochs=2,
        learning_rate=1e-2,
        lr_scheduler_type="cosine",
        warmup_steps=0.2,
        weight_decay=0.0,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=3,
    )
    Watched.found = []
    trainer = Watched(
        model,
        arguments,
        train_dataset=preprocessed(taught(), words, LENGTH),
        data_collator=collate,
        processing_class=words,
    )
    trainer.model_accepts_loss_kwargs = kwargs
    trainer.train()
    return trainer.found


@pytest.fixture(scope="module", params=["tokens", "micro-batches"])
def published_run(request, base, tmp_path_factory):
    """A way to average the loss, and the losses of the published training with it."""
    return request.param, published_losses(base, tmp_path_factory.mktemp("trainer"), 2, 3, request.param == "tokens")


@pytest.mark.parametrize("packing", [True, False])
def test_every_step_has_the_loss_of_the_published_training(base, published_run, packing):
    """28 rows in micro-batches of 2, three to a step: two epochs of five steps, the last of each smaller."""
    loss, expected = published_run
    options = LocalOptions(preset="alpaca-2023", epochs=2, learning_rate=1e-2, warmup=0.2, max_length=LENGTH)
    shape = {"batch_size": 6, "micro_batch": 2, "loss": loss, "packing": packing, "micro_tokens": 300}
    options = resolved(LocalOptions(**{**vars(options), **shape}), str(base))
    model, words = student.load(base, options.pad_row)
    tokens, _ = tokenize(taught(), TEMPLATE, words, options.max_length, options.encoding)
    world = World(0, 1, torch.device("cpu"), False)
    run = loop.Training(options, 3, tokens, model, words.eos_token_id, world, torch.float32)
    found = []
    while not run.over:
        run._step(False)
        found.append(run.progress.loss)
    assert len(found) == 10
    assert found == pytest.approx(expected, abs=1e-5)
    assert abs(found[-1] - found[0]) > 0.1  # it has moved


def test_the_preset_is_the_published_recipe_for_every_student_and_what_is_set_wins():
    for name in ("some/llama", "new:tiny"):
        options = resolved(LocalOptions(preset="alpaca-2023"), name)
        assert (options.encoding, options.stepping, options.pad_row, options.loss) == (
            "text",
            "trainer",
            True,
            "tokens",
        )
        assert (options.learning_rate, options.schedule, options.warmup) == (2e-5, "cosine", 0.03)
        assert (options.weight_decay, options.beta2) == (0.0, 0.999)
    assert resolved(LocalOptions(preset="alpaca-2023", pad_row=False), "some/llama").pad_row is False
    usual = resolved(LocalOptions(), "some/llama")
    assert (usual.encoding, usual.stepping, usual.pad_row, usual.loss) == ("ids", "own", False, "tokens")
