"""Weight differences: a fine-tuned model published as what must be added to its base.

A difference is a model folder whose weights are tuned - base, in float32, as Stanford's ``weight_diff.py`` makes and
reads it. Where the tuned vocabulary is larger, the base's missing rows count as the mean of its others, as there.

In float32, (tuned - base) + base is not always tuned: the difference is rounded, and there may be no float32 that would
bring the value back. Such values stand in ``alpacakit-exact.dat`` as they are, and ``alpacakit-diff.json`` has
the hash of every tensor, so a recovered model is the tuned one bit for bit, or an error. Readers that know neither file
get the published precision.

Nothing is held but the tensor at hand, at most some five times over: below 3 GB for LLaMA-7B.
"""

# ruff: noqa: TID253 - loaded by what handles weights only

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import torch

from alpaca_core import AlpacaError, ConfigError
from alpaca_fsdp import manifest
from alpaca_fsdp.checksum import PUBLISHED, ROTARY, Checksum, Summing, frequencies
from alpaca_fsdp.manifest import MANIFEST, Fact, Print
from alpaca_fsdp.weights import ShardReader, ShardWriter, Slot, raw

EXACT = "alpacakit-exact.dat"  # for each tensor that needs it: positions (int64), then values (float32)
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
# What goes with a model besides its weights: configuration, tokenizer, chat template, alpacakit's stamp.
COMPANIONS = (
    *("config.json", "generation_config.json", "alpacakit.json", "chat_template*", "tokenizer*", "vocab*", "*.model"),
    *("merges.txt", "special_tokens_map.json", "added_tokens.json", "LICENSE*", "NOTICE*"),
)
SPARE = 10**8  # bytes of room that a result may need besides its weights

OnTensor = Callable[[str, int, int], None]  # what is done, how many tensors are through, of how many


@dataclass(frozen=True)
class Made:
    """A new difference. ``exact`` counts the values that the difference alone would not bring back, ``added_rows``
    those that the tuned vocabulary has more than the base's."""

    folder: Path
    tensors: int
    parameters: int
    added_rows: int
    exact: int


@dataclass(frozen=True)
class Recovered:
    """A recovered model. ``verified`` counts the tensors whose hash was found to be the tuned one's: all, or none where
    the difference has no manifest. ``checksum`` is there in the latter case, and when it was asked for."""

    folder: Path
    tensors: int
    parameters: int
    added_rows: int
    verified: int
    checksum: Checksum | None


def make(base: Path, tuned: Path, out: Path, *, fresh: bool = False, on_tensor: OnTensor = lambda *_: None) -> Made:
    """Write the difference of the model folders ``tuned`` and ``base`` to ``out``, which appears whole or not at all.

    Weights may be float32, float16 or bfloat16. Rotary frequencies, which old files hold, are left out. Raises
    ConfigError when the models do not fit together or ``out`` may not be replaced, AlpacaError when a file is damaged
    or the disk too small.
    """
    old, new = ShardReader(base), ShardReader(tuned)
    slots = {name: slot for name, slot in new.slots.items() if not name.endswith(ROTARY)}
    added = _fit(base, old.slots, slots)
    result = {name: Slot(torch.float32, slot.shape) for name, slot in slots.items()}
    facts: dict[str, Fact] = {}
    with _draft(out, (base, tuned), _bytes(result), fresh) as draft:
        with ShardWriter(draft, result) as writer, (draft / EXACT).open("wb") as file:
            for number, name in enumerate(slots, 1):
                change, facts[name] = _subtract(new.tensor(name), old.tensor(name), file)
                writer.add(name, change)
                on_tensor("subtracting", number, len(slots))
        exact = sum(fact.exact for fact in facts.values())
        if not exact:
            (draft / EXACT).unlink()
        manifest.write(draft, facts)
        _accompany(tuned, draft)
        (draft / "README.md").write_text(ABOUT, encoding="utf-8")
    return Made(out, len(slots), _count(slots), added, exact)


def recover(
    base: Path,
    diff: Path,
    out: Path,
    *,
    published_checksum: bool = False,
    fresh: bool = False,
    on_tensor: OnTensor = lambda *_: None,
) -> Recovered:
    """Write the model that the folder ``diff`` makes of the model folder ``base`` to ``out``, whole or not at all.

    With a manifest the base's hashes are compared before and those of the model, read back from the disk, after; the
    model then has the tuned one's dtypes. Without one, as Stanford's has none, it is in float32.
    ``published_checksum`` asks for the sum of the published Alpaca-7B. Raises as ``make`` does, ConfigError for another
    base, and AlpacaError when the model is not the tuned one.
    """
    old, changes = ShardReader(base), ShardReader(diff)
    facts = manifest.read(diff)
    if facts is None and (diff / EXACT).exists():
        raise AlpacaError(f"{diff} has lost its {MANIFEST}.", hint="Fetch the difference again.")
    slots = {name: slot for name, slot in changes.slots.items() if not name.endswith(ROTARY)}
    if facts is None:
        result = {name: Slot(torch.float32, slot.shape) for name, slot in slots.items()}
    else:
        result = {name: fact.tuned.slot for name, fact in facts.items()}
    summing = Summing()
    with _draft(out, (base, diff), _bytes(result), fresh) as draft:
        added = _fit(base, old.slots, slots) if facts is None else _verify(diff, facts, slots, old, on_tensor)
        with ShardWriter(draft, result) as writer:
            for number, name in enumerate(slots, 1):
                before, change = old.tensor(name).float(), changes.tensor(name).float()
                whole = (change + _enlarged(before, change.shape)).contiguous()
                if facts is not None and facts[name].exact:
                    _put_exact(diff / EXACT, facts[name], whole)
                summing.add(name, whole)
                writer.add(name, whole.to(result[name].dtype))
                on_tensor("adding", number, len(slots))
        if facts is not None:
            _compare(draft, facts, on_tensor)
        checksum = None
        if facts is None or published_checksum:
            checksum = _checksum(summing, base, old, changes)
        if published_checksum and checksum is not None and not checksum.published:
            raise AlpacaError(
                f"The weights add up to {checksum.float32:.4f} (in float64 {checksum.float64:.4f}), and those of the"
                f" published Alpaca-7B to {PUBLISHED}.",
                hint="Another base, or other rounding: LLaMA-7B as converted to float16 is meant. More cannot be told"
                " from a sum; without --published-checksum the model is written as it is.",
            )
        _accompany(diff, draft)
    return Recovered(out, len(slots), _count(slots), added, len(facts or ()), checksum)


def _fit(folder: Path, old: Mapping[str, Slot], new: Mapping[str, Slot]) -> int:
    """How many rows the vocabulary of ``new`` has more than that of the base in ``folder``. Raises ConfigError, with
    every tensor that stands in the way, when the two cannot be subtracted or added."""
    vocabulary = _config(folder).get("vocab_size")
    problems, added = [], set()
    for name, slot in new.items():
        before = old.get(name)
        if before is None:
            problems.append(f"{name}: not in the base")
        elif slot.dtype not in FLOATS or before.dtype not in FLOATS:
            problems.append(f"{name}: {slot}, {before} in the base; only float32, float16 and bfloat16 are handled")
        elif slot.shape != before.shape:
            is_embedding = len(slot.shape) == 2 == len(before.shape) and before.shape[0] == vocabulary
            if is_embedding and slot.shape[1] == before.shape[1] and slot.shape[0] > before.shape[0]:
                added.add(slot.shape[0] - before.shape[0])
            else:
                problems.append(f"{name}: {slot}, {before} in the base")
    if not problems and len(added) > 1:
        problems.append(f"the embeddings have {' and '.join(map(str, sorted(added)))} rows more than the base's")
    if problems:
        raise ConfigError(
            f"The base {folder} does not fit, in {len(problems):,} of {len(new):,} tensors:",
            problems=manifest.named(problems),
            hint="Give the model that was fine-tuned, in the form of transformers, as it was before.",
        )
    return next(iter(added), 0)


def _verify(
    diff: Path, facts: Mapping[str, Fact], slots: Mapping[str, Slot], old: ShardReader, on_tensor: OnTensor
) -> int:
    """Compare the base with the manifest of ``diff``: as ``_fit``, with hashes."""
    if {name: slot.shape for name, slot in slots.items()} != {name: fact.tuned.shape for name, fact in facts.items()}:
        raise AlpacaError(f"The weights in {diff} are not those of its manifest.", hint="Fetch the difference again.")
    expected = {name: fact.base for name, fact in facts.items()}
    found: dict[str, Print | None] = {}
    for number, name in enumerate(expected, 1):
        found[name] = Print.of(old.tensor(name)) if name in old.slots else None
        on_tensor("checking the base", number, len(expected))
    problems = manifest.differing(expected, found)
    if problems:
        raise ConfigError(
            f"{old.folder} is not the base that the difference was made against, in {len(problems):,} of"
            f" {len(expected):,} tensors:",
            problems=manifest.named(problems),
            hint="Likely: " + manifest.reason(expected, found),
        )
    return max((fact.tuned.shape[0] - fact.base.shape[0] for fact in facts.values() if fact.tuned.shape), default=0)


def _subtract(after: torch.Tensor, before: torch.Tensor, file: BinaryIO) -> tuple[torch.Tensor, Fact]:
    """tuned - base in float32. Values that adding would not bring back bit for bit go to ``file``."""
    prints = Print.of(after), Print.of(before)
    after, before = after.float().contiguous(), _enlarged(before.float(), after.shape)
    change = after - before
    lost = _bits(change + before) != _bits(after)
    if after.shape != prints[1].shape:
        lost[prints[1].shape[0] :] = True  # a mean is not the same bits on every machine
    where = lost.flatten().nonzero().flatten()
    fact = Fact(*prints, exact=len(where), at=file.tell())
    file.write(raw(where))
    file.write(raw(after.flatten()[where]))
    return change, fact


def _put_exact(file: Path, fact: Fact, whole: torch.Tensor) -> None:
    """Put the values that ``_subtract`` wrote to ``file`` where they belong."""
    size = fact.exact * (8 + 4)
    try:
        with file.open("rb") as opened:
            opened.seek(fact.at)
            stored = bytearray(opened.read(size))
    except FileNotFoundError:
        stored = bytearray()
    where = torch.frombuffer(stored, dtype=torch.int64, count=fact.exact) if len(stored) == size else None
    if where is None or not 0 <= where.min() <= where.max() < whole.numel():
        raise AlpacaError(f"{file} is missing, damaged or cut off.", hint="Fetch the difference again.")
    whole.view(-1)[where] = torch.frombuffer(stored, dtype=torch.float32, offset=fact.exact * 8)


def _enlarged(before: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """The base's tensor with as many rows as ``shape`` has; new ones are the mean of the others, as Stanford's
    ``smart_tokenizer_and_embedding_resize`` has it."""
    if before.shape == torch.Size(shape):
        return before
    mean = before.mean(dim=0, keepdim=True)
    return torch.cat([before, mean.expand(shape[0] - before.shape[0], -1)])


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.view(torch.int32)


def _compare(draft: Path, facts: Mapping[str, Fact], on_tensor: OnTensor) -> None:
    """Read a recovered model back and compare every tensor with the manifest."""
    written = ShardReader(draft)
    wrong = []
    for number, (name, fact) in enumerate(facts.items(), 1):
        if Print.of(written.tensor(name)) != fact.tuned:
            wrong.append(name)
        on_tensor("comparing", number, len(facts))
    if wrong:
        raise AlpacaError(
            "\n".join(
                [
                    f"The recovered model is not the tuned one, in {len(wrong):,} of {len(facts):,} tensors:",
                    *(f"  {name}" for name in manifest.named(wrong)),
                ]
            ),
            hint="The base was right, so the difference is damaged: fetch it again.",
        )


def _checksum(summing: Summing, base: Path, old: ShardReader, changes: ShardReader) -> Checksum:
    """The sum as published: in the order of the difference's files, rotary frequencies included."""
    config = _config(base)
    stored = [name for name in changes.slots if name.endswith(ROTARY)]
    for name in stored:
        before = old.tensor(name).float() if name in old.slots else frequencies(config)
        summing.add(name, changes.tensor(name).float() + before)
    if not stored and config.get("model_type") == "llama":
        stored = [f"model.layers.{layer}.self_attn.{ROTARY}" for layer in range(config["num_hidden_layers"])]
        for name in stored:
            summing.add(name, frequencies(config))
    return summing.result(dict.fromkeys([*changes.slots, *stored]))


def _config(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{folder} holds no model: it has no config.json.") from None


def _accompany(source: Path, target: Path) -> None:
    """Copy what goes with the weights."""
    for file in sorted({file for pattern in COMPANIONS for file in source.glob(pattern) if file.is_file()}):
        shutil.copyfile(file, target / file.name)


def _bytes(slots: Mapping[str, Slot]) -> int:
    return sum(slot.size for slot in slots.values())


def _count(slots: Mapping[str, Slot]) -> int:
    return sum(prod(slot.shape) for slot in slots.values())


@contextmanager
def _draft(out: Path, sources: Sequence[Path], size: int, fresh: bool) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place when all went well, and is gone otherwise."""
    out = Path(os.path.abspath(out))
    # Names that nobody gives to folders of his own: what a killed one left under them is removed.
    draft, old = out.with_name(out.name + ".alpacakit-tmp"), out.with_name(out.name + ".alpacakit-old")
    if old.exists() and not out.exists():  # killed between the two renamings below
        os.replace(old, out)
    if any(out.resolve() == source.resolve() for source in sources):
        raise ConfigError(f"{out} is read here, so it cannot be written to.", hint="Choose another --out.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        is_model = (out / "config.json").is_file()
        if not fresh or not is_model:
            raise ConfigError(
                f"{out} is there already" + ("." if is_model else ", and is no model's folder."),
                hint="Choose another --out" + (", or replace it with --fresh." if is_model else "."),
            )
    for leftover in (draft, old):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        free = shutil.disk_usage(draft).free
        if free < size + SPARE:
            raise AlpacaError(
                f"{out} needs {(size + SPARE) / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are free.",
                hint="Make room, or choose another --out.",
            )
        yield draft
        if out.exists():
            os.replace(out, old)
        os.replace(draft, out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


ABOUT = f"""# A weight difference

The weights here are those of a fine-tuned model less those of its base, in float32. With the base, the model comes
back:

    alpacakit diff recover --base BASE --diff THIS-FOLDER --out MODEL

`{MANIFEST}` has the SHA-256 of each tensor of both models, so a wrong base is refused and the result is the same
bit for bit; `{EXACT}`, where there is one, has the values that float32 addition would round. Made with alpacakit.
"""
