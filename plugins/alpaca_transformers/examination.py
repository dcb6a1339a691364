"""Whether a finished model is sound as a thing: its files load, its chat template does what the training did, and it is
still itself once it has been saved and loaded, or exported."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - this module is imported when the teacher is used

from alpaca_core import AlpacaError, ChatTemplate, Check, Example, MissingError
from alpaca_transformers.rendering import check_template

if TYPE_CHECKING:
    from alpaca_transformers.teacher import TransformersTeacher

ROWS = 4  # whose logits are compared
PROBE = 128  # tokens of each, at most
# The largest difference of two logits that rounding explains where the arithmetic is not the same to the last step, as
# a share of the largest logit, by the coarser of the two dtypes. The trainer holds adapters to the same.
ROUNDING = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def examine(
    teacher: TransformersTeacher, examples: Sequence[Example], template: ChatTemplate | None, exported: Sequence[str]
) -> list[Check]:
    """The checks ``loads``, ``template``, ``reload``, and ``exported`` for each of those folders (or GGUF files). Where
    the model does not load, that is the only one. Raises MissingError where a package is missing to read a GGUF file.
    """
    if any(_gguf(Path(path)) for path in exported) and find_spec("gguf") is None:
        raise MissingError("The package that reads GGUF files is not installed.", hint="pip install gguf")
    try:
        model, form = teacher._model, teacher._form()
    except AlpacaError as exc:
        return [_loads(str(exc), {})]
    checks = [_loads("", teacher.said), check_template(form, examples, template)]
    rows = form.encode(examples[:ROWS], min(PROBE, teacher._context))
    tokens = [torch.tensor(row.ids) for row in rows if row.ids]
    if not tokens:
        return [*checks, Check("reload", None, "there are no rows to try it with")]
    before = logits(model, tokens)
    with tempfile.TemporaryDirectory(prefix="alpacakit-") as folder:
        problem = _saved(model, Path(folder))
        dtype, device = model.dtype, model.device
        del model
        _forget(teacher)  # one model at a time in the memory
        checks.append(problem or _compared("reload", "saved and loaded again", folder, dtype, device, tokens, before))
    checks += [_compared("exported", path, path, dtype, device, tokens, before, other=True) for path in exported]
    return checks


def _loads(problem: str, said: dict[str, Any]) -> Check:
    advice = "Get the folder's files again, or train again: what is missing is made up at random as the model loads."
    found = {name.removesuffix("_keys"): sorted(map(str, of)) for name, of in said.items() if of}
    if not problem and found:
        parts = [f"{len(of)} weights {name}, such as {of[0]}" for name, of in found.items()]
        problem = f"it loads, and not as it should: {'; '.join(parts)}"
    said_well = "every weight has its place, none is missing or left over; the tokenizer is there"
    return Check("loads", not problem, problem or said_well, advice=advice, broken=True)


@torch.inference_mode()
def logits(model: Any, texts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The logits of every token of ``texts``, each read by itself, in float32 on the CPU."""
    parts = [model(input_ids=ids[None].to(model.device), use_cache=False).logits[0] for ids in texts]
    return torch.cat([part.float().cpu() for part in parts])


def _saved(model: Any, folder: Path) -> Check | None:
    """Save ``model`` to ``folder``. The check that could not be made, or has failed already."""
    size, free = model.get_memory_footprint(), shutil.disk_usage(folder).free
    if size > free:
        room = f"{size / 1e9:.1f} GB are needed in {folder.parent}, and {free / 1e9:.1f} GB are free"
        return Check("reload", None, f"not tried: {room}; TMPDIR names another place")
    try:
        model.save_pretrained(folder)
    except Exception as exc:  # whatever it is, nobody can save this model
        return Check("reload", False, f"save_pretrained failed: {_line(exc)}", broken=True, advice=_ADVICE["reload"])
    return None


def _compared(
    name: str,
    what: str,
    path: str,
    dtype: torch.dtype,
    device: torch.device,
    tokens: Sequence[torch.Tensor],
    before: torch.Tensor,
    *,
    other: bool = False,
) -> Check:
    """The largest difference of a logit from ``before`` when the model is loaded from ``path``, as a share of the
    largest. It has to be zero, unless the weights are ``other`` ones."""
    try:
        model, rounded = _open(Path(path), None if other else dtype)
        model = model.to(device).eval()
        after = logits(model, tokens)
    except torch.OutOfMemoryError:
        return Check(name, None, f"{what}: not tried, the memory is too small")
    except ImportError as exc:  # peft, for an adapter
        return Check(name, None, f"{what}: not tried: {_line(exc)}")
    except Exception as exc:  # a damaged file, a missing package: it cannot be used as it is
        return Check(name, False, f"{what}: it does not load: {_line(exc)}", broken=True, advice=_ADVICE[name])
    limit = max(ROUNDING.get(of, ROUNDING[torch.bfloat16]) for of in (rounded or dtype, dtype)) if other else 0.0
    del model
    _collect(device)
    if after.shape != before.shape:
        shapes = f"{after.shape[-1]:,} logits a token instead of {before.shape[-1]:,}"
        return Check(name, False, f"{what}: {shapes}", broken=True, advice=_ADVICE[name])
    apart = float((after - before).abs().max() / before.abs().max().clamp_min(1e-30))
    same = float((after.argmax(-1) == before.argmax(-1)).double().mean())
    said = "the same logits, bit for bit" if apart == 0 else f"logits differ by {apart:.2g} of the largest"
    if apart:
        bound = "" if rounded is None else f" (at most {limit:g})"
        said += f"{bound}; {same:.1%} of the likeliest tokens are the same"
    if rounded is None:
        return Check(name, None, f"{what}: quantised, held to no limit: {said}, over {len(before):,} tokens", apart)
    passed = apart <= limit  # a NaN is not
    advice = _ADVICE[name]
    return Check(name, passed, f"{what}: {said}, over {len(before):,} tokens", apart, limit, advice, broken=True)


_ADVICE = {
    "reload": "Whoever saves this model has another one. Look for weights that its config ties or leaves out.",
    "exported": "Export it again, from this very model.",
}


def _open(path: Path, dtype: torch.dtype | None) -> tuple[Any, torch.dtype | None]:
    """The model in a folder, in an adapter's folder with its base, or in a GGUF file; with the dtype that its weights
    were rounded to, None where that is none of torch's."""
    from transformers import AutoModelForCausalLM

    file = _gguf(path)
    if file is None:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype or "auto")
        return model, model.dtype
    from gguf import GGUFReader

    kinds = {tensor.tensor_type.name for tensor in GGUFReader(file).tensors} - {"F32"}
    rounded = {frozenset(): torch.float32, frozenset({"F16"}): torch.float16, frozenset({"BF16"}): torch.bfloat16}
    return AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name), rounded.get(frozenset(kinds))


def _gguf(path: Path) -> Path | None:
    """The GGUF file that ``path`` is, or the only one in it, where it holds no model otherwise."""
    files = [path] if path.suffix == ".gguf" else sorted(path.glob("*.gguf"))
    other = any((path / name).exists() for name in ("config.json", "adapter_config.json"))
    return files[0] if len(files) == 1 and not other else None


def _forget(teacher: TransformersTeacher) -> None:
    model = teacher.__dict__.pop("_model", None)
    if model is not None:
        device = model.device
        del model
        _collect(device)


def _collect(device: torch.device) -> None:
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def _line(exc: Exception) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]
