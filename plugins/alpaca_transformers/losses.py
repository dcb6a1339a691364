"""The loss of a model on right answers: batched, each row as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch  # noqa: TID253 - this module is imported when the teacher is used
import torch.nn.functional as F  # noqa: TID253

from alpaca_core import AlpacaError, RowLoss
from alpaca_transformers.form import Encoded

TOGETHER = 4096  # tokens of a batch, padding included: their logits are held at once


@torch.inference_mode()
def losses(model: Any, rows: Sequence[Encoded], batch_size: int, pad: int) -> list[RowLoss]:
    """The loss on each of ``rows``, in their order: cross-entropy in float32 of every token after the prompt.

    Rows of like length are computed together, at most ``batch_size`` of them, padded on the right. A row that is too
    long for its answer to begin has no tokens. Raises AlpacaError where one row alone does not fit into the memory.
    """
    found = [RowLoss(0.0, 0, row.cut) for row in rows]
    todo = sorted((i for i, row in enumerate(rows) if len(row.ids) > row.prompt), key=lambda i: len(rows[i].ids))
    together = TOGETHER
    while todo:
        longest = len(rows[todo[-1]].ids)  # the longest ones first: what fits then fits to the end
        batch = todo[-max(1, min(batch_size, together // longest)) :]
        try:
            sums = _sums(model, [rows[i] for i in batch], pad)
        except torch.OutOfMemoryError as exc:
            if len(batch) == 1:
                raise AlpacaError(f"The device's memory is too small for the loss of {longest:,} tokens.") from exc
            together = len(batch) // 2 * longest
            continue
        for i, nats in zip(batch, sums, strict=True):
            found[i] = RowLoss(nats, len(rows[i].ids) - rows[i].prompt, rows[i].cut)
        del todo[-len(batch) :]
    return found


def _sums(model: Any, rows: Sequence[Encoded], pad: int) -> list[float]:
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    mask, wanted = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
        wanted[i, row.prompt : len(row.ids)] = True
    ids, mask, wanted = (of.to(model.device) for of in (ids, mask, wanted))
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    nats = F.cross_entropy(logits[:, :-1][wanted[:, 1:]].float(), ids[:, 1:][wanted[:, 1:]], reduction="none")
    each = nats.double().cpu().split([len(row.ids) - row.prompt for row in rows])
    return [float(of.sum()) for of in each]
