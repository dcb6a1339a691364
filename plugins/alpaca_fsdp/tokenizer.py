"""A tokenizer for students from scratch: sentencepiece BPE trained on the data, as a transformers tokenizer.

Ids equal those of sentencepiece, and neither sentencepiece nor protobuf is needed to load the result. Each fixed line
of the chat template is one token of its own, and the text after it starts afresh like the text of a new sentence: a
word has the same ids at the start of a field as inside it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

UNK, BOS, EOS, PAD = "<unk>", "<s>", "</s>", "<pad>"
SPACE = "▁"  # sentencepiece's mark for a space


def train(texts: Iterable[str], vocabulary: int) -> bytes:
    """A sentencepiece BPE model with at most ``vocabulary`` pieces, fewer where the texts do not give as many.

    Nothing is normalised; digits stand alone; characters without a piece are written as bytes.
    """
    import sentencepiece

    texts = list(texts)
    model = io.BytesIO()
    try:
        _train(sentencepiece, texts, vocabulary, model)
    except RuntimeError as exc:  # "Vocabulary size too high (2000). Please set it to a value <= 412."
        limit = re.search(r"value <= (\d+)", str(exc))
        if limit is None:
            raise
        model = io.BytesIO()
        _train(sentencepiece, texts, int(limit[1]), model)
    return model.getvalue()


def _train(sentencepiece: Any, texts: list[str], vocabulary: int, model: io.BytesIO) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=1.0,
        max_sentence_length=1 << 20,
        minloglevel=2,
    )


def build(model: bytes, lines: Sequence[str] = (), max_length: int = 512) -> Any:
    """The transformers tokenizer with the ids of the sentencepiece ``model`` and one more for each of ``lines``."""
    import sentencepiece
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, processors
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocabulary = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    backend = Tokenizer(BPE(vocabulary, _merges(pieces, vocabulary), unk_token=UNK, fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    undo = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    if lines:  # the space that each text after a line got
        behind = "|".join(f"(?<={re.escape(line)})" for line in lines)
        undo.append(decoders.Replace(Regex(f"(?:{behind}) "), ""))
    backend.decoder = decoders.Sequence(undo)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, vocabulary[BOS])]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{
            name: AddedToken(piece, normalized=False, special=True)
            for name, piece in (("unk_token", UNK), ("bos_token", BOS), ("eos_token", EOS), ("pad_token", PAD))
        },
        model_max_length=max_length,
        padding_side="left",  # what generation needs; training pads by itself
        truncation_side="right",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens([AddedToken(line, normalized=False, special=False) for line in lines])
    return tokenizer


def _merges(pieces: Any, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """The merges of the BPE, in the order in which sentencepiece prefers them (by score of what they make)."""
    merges: list[tuple[float, int, int, str, str]] = []
    for piece, i in vocabulary.items():
        if pieces.is_control(i) or pieces.is_unknown(i) or pieces.is_byte(i):
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                merges.append((-pieces.get_score(i), vocabulary[left], vocabulary[right], left, right))
    merges.sort()
    return [(left, right) for *_, left, right in merges]
