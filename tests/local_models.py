"""Small models for tests, made in a moment, without a network: one that writes nonsense, one that writes tasks."""

from pathlib import Path

# What the writing model says after "1. Instruction:": one of each list, then the end.
SENTENCES = (
    " Describe| Explain| Compare| Sketch| Summarize| Praise| Question| Imagine| Rank| Translate".split("|"),
    " wooden| silent| golden| hungry| narrow| distant| broken| gentle| rusty| frozen".split("|"),
    " bridges| kettles| sailors| violins| gardens| lanterns| parrots| engines| orchards| castles".split("|"),
    " beside| against| beyond| without| beneath| between| among| despite| around| toward".split("|"),
    " mountains| libraries| teachers| oceans| markets| doctors| deserts| theatres| bakers| islands".split("|"),
    ["\n1. Input:\n<noinput>\n1. Output:\nAn answer about"],
    " rivers| letters| tigers| clocks| forests| painters| candles| harbours| melodies| winters".split("|"),
    [" and"],
    " thunder| silver| honey| marble| cotton| pepper| velvet| copper| amber| linen".split("|"),
    ["."],
)


def tokenizer(vocabulary: list[str]):
    """Words between white space are tokens; text from tokens is just joined."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    ids = {word: i for i, word in enumerate([*special.values(), *vocabulary])}
    words = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)


def llama(words, **size):
    from transformers import LlamaConfig, LlamaForCausalLM

    how = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048}
    ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **how | ids | size))


def babbler(folder: Path, **size) -> Path:
    """A LLaMA with random weights: its answers are nonsense, of any length, and depend on all that it has read."""
    import torch

    words = tokenizer([f" word{i}" for i in range(200)])
    torch.manual_seed(0)
    model = llama(words, **{"hidden_size": 32, "intermediate_size": 64, **size})
    for weights in model.parameters():
        weights.data *= 3  # as untrained models are, it would hardly look at what it read
    return save(folder, model, words)


# What the talking model's tokenizer is made from. The letters that are not here become bytes.
SAID = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "The river carries the boats past the mill. Name three tools that a gardener uses in spring.",
    "اكتب جملة قصيرة عن البحر والسماء. الطقس اليوم جميل والهواء عليل.",
    "Größe und Maß: naïve cafés, 山の上の月 🌙🐪",
)


def talker(folder: Path, kind: str = "bytes", **size) -> Path:
    """A babbler that knows the Alpaca template. Its tokens are pieces of words and single bytes, so that it writes
    whole and broken characters of all scripts. ``kind`` is that of ``pieces``."""
    import torch
    from alpaca_templates.alpaca import AlpacaTemplate

    words = pieces(kind)
    words.chat_template = AlpacaTemplate.jinja
    torch.manual_seed(0)
    model = llama(words, **{"hidden_size": 32, "intermediate_size": 64, **size})
    for weights in model.parameters():
        weights.data *= 3
    return save(folder, model, words)


def pieces(kind: str):
    """A tokenizer of pieces of words and single bytes. ``kind`` is bytes, for byte-level BPE, or fallback, as LLaMA's:
    letters, and bytes for those that it does not know."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    how = {"show_progress": False, "special_tokens": list(special.values())}
    if kind == "bytes":
        words = Tokenizer(models.BPE())
        words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        words.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        words.train_from_iterator(SAID, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, **how))
    else:  # as LLaMA's
        words = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        words.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        words.decoder = decoders.Sequence(steps)
        how["special_tokens"] += [f"<0x{byte:02X}>" for byte in range(256)]
        words.train_from_iterator(SAID, trainers.BpeTrainer(vocab_size=500, limit_alphabet=60, **how))
        plain = words.to_str().replace('"special":true', '"special":false')  # bytes are no special tokens
        words = Tokenizer.from_str(plain)
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)


def writer(folder: Path) -> Path:
    """A LLaMA whose weights are set by hand so that it writes a task in list form, drawn from ``SENTENCES``.

    Attention and MLP add nothing, and every token is a direction of its own, so that the last layer is a table of what
    may follow it.
    """
    import torch

    flat = [word for choice in SENTENCES for word in choice]
    words = tokenizer(["Instruction:", *flat])
    hidden = -(-len(words) // 8) * 8
    model = llama(words, hidden_size=hidden, intermediate_size=8, num_hidden_layers=1, tie_word_embeddings=False)
    follows = torch.full((len(words), len(words)), -10.0)
    last = ["Instruction:"]
    for choice in (*SENTENCES, ["</s>"]):
        for word in last:
            follows[words.convert_tokens_to_ids(choice), words.convert_tokens_to_ids(word)] = 10.0
        last = choice
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(len(words), hidden))
        model.lm_head.weight.zero_()[:, : len(words)] = follows / hidden**0.5  # which the norm before it multiplies by
    return save(folder, model, words)


def save(folder: Path, model, words) -> Path:
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


# ── a model that has learnt something ─────────────────────────────────────────────────────────────────────────────

OPPOSITES = {
    "hot": "cold", "big": "little", "dark": "light", "wet": "dry", "slow": "fast", "high": "low", "old": "new",
    "hard": "soft", "loud": "silent", "near": "far", "open": "shut", "early": "late", "full": "hollow", "rich": "poor",
    "sweet": "sour", "thick": "thin", "wide": "narrow", "young": "aged", "rough": "smooth", "tall": "short",
}  # fmt: skip
WORDINGS = ("Name the opposite of {}.", "What is the opposite of {}?")
UNSEEN = "Tell me the opposite of {}."


def opposites(*wordings: str) -> list[dict[str, str]]:
    """Rows that ask for each opposite in each of ``wordings``."""
    return [
        {"instruction": wording.format(word), "input": "", "output": f"It is {answer}."}
        for wording in wordings
        for word, answer in OPPOSITES.items()
    ]


def learner(folder: Path) -> Path:
    """A LLaMA in ``folder/model`` that has learnt ``opposites(*WORDINGS)`` in the Alpaca form, in two seconds, and
    answers ``UNSEEN`` too, with what it was before in ``folder/student``; laid out as a trainer leaves it."""
    import json

    import torch
    from alpaca_fsdp import data, tokenizer
    from alpaca_templates.alpaca import AlpacaTemplate

    rows = opposites(*WORDINGS)
    texts = [text for row in [*rows, *opposites(UNSEEN)] for text in row.values() if text]
    words = tokenizer.build(tokenizer.train(texts, 500), data.fixed_lines(AlpacaTemplate()))
    words.chat_template = AlpacaTemplate.jinja
    torch.manual_seed(0)
    size = {"hidden_size": 48, "intermediate_size": 96, "max_position_embeddings": 128}
    model = llama(words, tie_word_embeddings=False, **size)
    save(folder / "student", model, words)
    teach(model, words, rows)
    save(folder / "model", model, words)
    stamp = {
        "identity": {"template": "alpaca_templates.alpaca:AlpacaTemplate", "template_options": {}},
        "result": {"base": str(folder / "student"), "lora": None},
    }
    (folder / "model" / "alpacakit.json").write_text(json.dumps(stamp))
    (folder / "heldout.json").write_text(json.dumps(opposites(UNSEEN)))
    (folder / "alpaca_data.json").write_text(json.dumps(rows))
    return folder


def teach(model, words, rows: list[dict[str, str]], steps: int = 80, rate: float = 6e-3) -> None:
    """Train ``model`` on all ``rows`` at once, answers and their ends only."""
    import torch
    from alpaca_fsdp.examples import tokenize
    from alpaca_fsdp.losses import token_losses
    from alpaca_fsdp.rows import padded
    from alpaca_templates.alpaca import AlpacaTemplate

    from alpaca_core import Example

    examples, _ = tokenize([Example(**row) for row in rows], AlpacaTemplate(), words, 128)
    batch = padded(examples, words.pad_token_id, torch.device("cpu"))
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 10, 2 * (1 - step / steps))
        token_losses(model, batch, fused=False).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
