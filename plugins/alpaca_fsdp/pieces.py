"""What a model's weights are called in a model folder, and which are gathered together on their way there."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

# What wrappers of modules put into names.
_WRAPPERS = ("_checkpoint_wrapped_module.", "_orig_mod.")


@dataclass(frozen=True)
class Piece:
    """Weights that are gathered together: their names in the model, and what they become in the folder (as tensors
    without data). Almost always one weight that keeps its name."""

    sources: tuple[str, ...]
    targets: Mapping[str, torch.Tensor]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(target.nbytes for target in self.targets.values())


def plan(model: Any) -> list[Piece]:
    """The weights of ``model`` (sharded or not) under the names that ``save_pretrained`` gives them: tied ones once,
    and those that transformers renames, splits or joins on loading as they were before."""
    from transformers.modeling_utils import remove_tied_weights_from_state_dict

    ignored = set(getattr(model, "_keys_to_ignore_on_save", None) or ())
    weights = {
        name: torch.empty(weight.shape, dtype=weight.dtype, device="meta")
        for name, weight in model.state_dict().items()
        if name not in ignored
    }
    weights = remove_tied_weights_from_state_dict(weights, model)
    whole = converted(model, weights)
    pieces = [Piece((name,), converted(model, {name: weight})) for name, weight in weights.items()]
    alone = {name: target.shape for piece in pieces for name, target in piece.targets.items()}
    if alone == {name: target.shape for name, target in whole.items()}:
        return pieces
    return [Piece(tuple(weights), whole)]  # some are joined in the folder: then all at once


def converted(model: Any, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``weights`` of ``model`` as they are in a model folder."""
    from transformers.core_model_loading import revert_weight_conversion

    plain = {}
    for name, weight in weights.items():
        for wrapper in _WRAPPERS:
            name = name.replace(wrapper, "")
        plain[name] = weight
    return dict(revert_weight_conversion(model, plain))
