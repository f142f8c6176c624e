"""Bits per byte of a causal language model, from final states through its head in chunks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

#: positions whose logits are in memory at once (256 positions of a 50,000-token vocabulary are 50 MB of float32), on
#: the CPU and on accelerators, which larger products keep busy
CHUNK, CHUNK_ON_DEVICE = 256, 4096


def bits_per_text(states: Tensor, ids: Tensor, mask: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute the information of each text under the model: −Σ log₂ p(token | tokens before it), without the first.

    The reference divides it by the UTF-8 bytes of the text ("performance" is minus the mean of that).

    Args:
        states: final states ``[B, T, D]``.
        ids: token ids ``[B, T]``, padded on the right.
        mask: ``[B, T]`` bool, true for real tokens.
        head: states ``[M, D]`` to logits ``[M, V]``.

    Returns:
        Bits, ``[B]`` float64 on the CPU.
    """
    import torch

    targets_are_real = mask[:, 1:]
    rows, columns = targets_are_real.nonzero(as_tuple=True)
    targets = ids[rows, columns + 1]
    device = states.device
    chunk = CHUNK if device.type == "cpu" else CHUNK_ON_DEVICE
    losses = [torch.zeros(0, device=device)]
    for start in range(0, len(rows), chunk):
        part = slice(start, start + chunk)
        logits = head(states[rows[part].to(device), columns[part].to(device)]).float()
        goals = targets[part].to(logits.device)
        losses.append((logits.logsumexp(-1) - logits.gather(1, goals[:, None])[:, 0]).to(device))
    nats = torch.zeros(len(ids), dtype=torch.float64).index_add_(0, rows.cpu(), torch.cat(losses).cpu().double())
    return nats / math.log(2)
