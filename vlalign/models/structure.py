"""Where the layers of a model are: the modules whose states become the layer axis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from torch import Tensor, nn

#: config attributes in which the families keep their number of blocks and their longest input
DEPTH_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")

#: names of the families' tables of learned positions (tables of relative and of two-dimensional ones are others)
_POSITION_TABLES = frozenset(
    {"position_embeddings", "position_embedding", "embed_positions", "positions_embed", "pos_embeddings", "wpe"}
)


@dataclass(frozen=True)
class Tap:
    """One entry of the layer axis: which state of the network it is.

    Attributes:
        name: ``embeddings``, ``block_0`` … or ``stage_0`` …
        width: number of features.
        convention: which state this is, in words (before or after the final norm, which pooling of a map).
        module: dotted name of the module that the state enters (text) or leaves (vision).
    """

    name: str
    width: int
    convention: str
    module: str


def depth_of(config: Any) -> int | None:
    """Number of blocks according to a transformers config, or None."""
    for key in DEPTH_KEYS:
        value = getattr(config, key, None)
        if isinstance(value, int):
            return value
    return None


def find_blocks(model: nn.Module, depth: int) -> str:
    """Return the dotted name of the list of ``depth`` blocks: the outermost ``ModuleList`` of that length.

    Lists of patch embeddings and norms, which hierarchical models have beside that of their stages, do not count.

    Raises:
        VlalignError: the model keeps its blocks in another way.
    """
    from torch import nn

    names = [
        name
        for name, m in model.named_modules()
        if isinstance(m, (nn.ModuleList, nn.Sequential))
        and len(m) == depth
        and not re.search("embed|norm", name.rpartition(".")[2])
    ]
    if not names:
        raise VlalignError(
            f"{type(model).__name__}: found no list of {depth} blocks in the model, so its layers cannot be read; "
            "please open an issue that names the model"
        )
    return min(names, key=lambda name: (name.count("."), names.index(name)))


def position_rows(model: nn.Module) -> int | None:
    """Longest input in tokens that a model's table of learned positions has rows for; None without a table.

    RoBERTa and its relatives count positions from ``padding_idx + 1``, OPT from its ``offset``: rows before are unused.
    """
    from torch import Tensor

    rows = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if name.rpartition(".")[2] not in _POSITION_TABLES or not isinstance(weight, Tensor) or weight.ndim != 2:
            continue
        padding, offset = getattr(module, "padding_idx", None), getattr(module, "offset", None)
        unused = offset if isinstance(offset, int) else 0 if padding is None else padding + 1
        rows.append(weight.shape[0] - unused)
    return min(rows, default=None)


def first_tensor(output: Any) -> Tensor:
    """Return the hidden state in what a block or model returns: a tensor, or something that begins with it."""
    if hasattr(output, "to_tuple"):
        output = output.to_tuple()
    return first_tensor(output[0]) if isinstance(output, (tuple, list)) else output


def count_parameters(model: nn.Module) -> int:
    """Number of weights; 4-bit weights, which bitsandbytes packs two in a byte, count as weights and not as bytes."""
    total = 0
    for parameter in model.parameters():
        shape = getattr(getattr(parameter, "quant_state", None), "shape", None)
        total += parameter.numel() if shape is None else int(shape.numel())
    return total
