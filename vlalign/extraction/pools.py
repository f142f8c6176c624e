"""Pools: the tokens or patches of a sample to one vector, and how much of their mean a single one gives.

In many models a few tokens have states of a much larger norm than the others: the first token in most language models
(attention sinks, arXiv 2309.17453; massive activations, arXiv 2402.17762), patches without content in vision
transformers (arXiv 2309.16588). A mean over tokens is then mostly that one state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from vlalign.models.structure import Tap, has_channels_last

if TYPE_CHECKING:
    from torch import Tensor

TextPool = Literal["mean", "mean-nosink", "mean-content", "mean-unit", "last"]
VisionPool = Literal["cls", "avg", "avg-nosink"]

#: pools of each preset; vision "cls" becomes the average for models without a class token
PRESETS = {
    "platonic": {"text": "mean", "vision": "cls"},
    "robust": {"text": "mean-nosink", "vision": "cls"},
}
#: the average that replaces the class token in models that have none
WITHOUT_CLASS_TOKEN = {"platonic": "avg", "robust": "avg-nosink"}
#: the pools without sinks leave out what has a norm above this multiple of the sample's median norm
SINK_RATIO = 4.0


def pool_tokens(state: Tensor, mask: Tensor, pools: Sequence[str], special: tuple[int, int] = (0, 0)) -> list[Tensor]:
    """Pool the states of texts.

    - ``mean``: over all tokens;
    - ``mean-nosink``: over the tokens whose norm is at most `SINK_RATIO` times the text's median norm (the lower of
      the two middle ones), which keeps at least half of them; a text of one token keeps it, a median of 0 all;
    - ``mean-content``: without the special tokens that the tokenizer adds; a text of nothing else keeps all;
    - ``mean-unit``: over all tokens, each divided by its norm first;
    - ``last``: the last token.

    Sums are in float32 whatever the dtype of the states, and those of one pool do not depend on the others.

    Args:
        state: ``[B, T, D]``.
        mask: ``[B, T]`` bool, true for real tokens, which come first.
        pools: names.
        special: how many special tokens a text begins and ends with.

    Returns:
        ``[B, D]`` float32 for each pool, then ``[B, 3]``: see :func:`measure`.

    Raises:
        ValueError: another pool.
    """
    import torch

    mask = mask.to(state.device)
    state, count = state.float(), mask.sum(1, keepdim=True)
    # a product rather than a fill, so that BLAS sums; padding states are finite, because they attend to real tokens
    mean = _weighted(state, mask.to(torch.float32) / count)
    norms = torch.linalg.vector_norm(state, dim=-1)
    ordered = norms.masked_fill(~mask, torch.inf).sort(1).values
    median = ordered.gather(1, (count - 1) // 2)

    def pool(name: str) -> Tensor:
        if name == "mean":
            return mean
        if name == "last":
            return state[torch.arange(len(state), device=state.device), count[:, 0] - 1]
        if name == "mean-unit":
            return _weighted(state, mask / (norms.clamp_min(1e-30) * count))
        if name not in ("mean-nosink", "mean-content"):
            raise ValueError(f"no pool of tokens is called {name!r}")
        kept = mask & _without_sinks(norms, median) if name == "mean-nosink" else _content(mask, count, special)
        return _weighted(state, kept.to(torch.float32) / kept.sum(1, keepdim=True))

    return [*map(pool, pools), measure(state, norms.masked_fill(~mask, 0), median[:, 0], count[:, 0], mean)]


def _content(mask: Tensor, count: Tensor, special: tuple[int, int]) -> Tensor:
    """Return the mask of the tokens between the special ones; of all tokens where there is nothing else."""
    import torch

    place = torch.arange(mask.shape[1], device=mask.device)
    kept = (place >= special[0]) & (place < count - special[1])
    return torch.where(kept.any(1, keepdim=True), kept, mask)


def _without_sinks(norms: Tensor, median: Tensor) -> Tensor:
    """Return which norms are no sinks; all where the median is 0, as of maps that are 0 in most positions."""
    return (norms <= SINK_RATIO * median) | (median == 0)


def _weighted(tokens: Tensor, weights: Tensor) -> Tensor:
    """Sum tokens ``[B, T, D]`` with weights ``[B, T]``."""
    import torch

    return torch.bmm(weights[:, None], tokens)[:, 0]


def pool_patches(state: Tensor, tap: Tap, pools: Sequence[str], channels_last: bool | None = None) -> list[Tensor]:
    """Pool the states of images.

    - ``cls``: the first token; of maps, which have no class token, the average;
    - ``avg``: over patches, or positions of a map;
    - ``avg-nosink``: over those whose norm is at most `SINK_RATIO` times the image's median norm; all if that is 0.

    Args:
        state: tokens ``[B, T, D]``, or a map ``[B, C, H, W]`` or ``[B, H, W, C]``.
        tap: its width is the number of channels, which distinguishes the two layouts of a map; its prefix and suffix
            are tokens that are not patches.
        pools: names.
        channels_last: layout of maps that have as many rows as channels, which their shape leaves open.

    Returns:
        ``[B, D]`` float32 for each pool, then ``[B, 3]`` of the patches: see :func:`measure`.

    Raises:
        ValueError: another pool.
        VlalignError: a map whose layout cannot be determined.
    """
    import torch

    if state.ndim == 4:
        channels_last = has_channels_last(state.shape, tap, channels_last)
        mean = state.mean((1, 2) if channels_last else (2, 3), dtype=torch.float32)
        patches = state.flatten(1, 2) if channels_last else state.flatten(2).transpose(1, 2)
    else:
        patches = state[:, tap.prefix : state.shape[1] - tap.suffix]
        mean = patches.mean(1, dtype=torch.float32)
    norms = torch.linalg.vector_norm(patches, dim=-1, dtype=torch.float32)
    median = norms.median(1).values

    def pool(name: str) -> Tensor:
        if name == "avg" or (name == "cls" and state.ndim == 4):
            return mean
        if name == "cls":
            return state[:, 0].float()
        if name != "avg-nosink":
            raise ValueError(f"no pool of patches is called {name!r}")
        kept = _without_sinks(norms, median[:, None]).float()
        return _weighted(patches.float(), kept / kept.sum(1, keepdim=True))

    count = torch.full_like(median, patches.shape[1])
    return [*map(pool, pools), measure(patches, norms, median, count, mean)]


def measure(tokens: Tensor, norms: Tensor, median: Tensor, count: Tensor, mean: Tensor) -> Tensor:
    """Measure how far the mean over tokens is the state of one of them.

    Args:
        tokens: ``[B, T, D]``.
        norms: ``[B, T]``, 0 for what is not a token.
        median: norm of the middle token, ``[B]``.
        count: number of tokens, ``[B]``.
        mean: over tokens, ``[B, D]``.

    Returns:
        ``[B, 3]`` float32: the largest norm over the median one, 1 where that is 0; the share of the mean m that its
        token x gives, x·m / (T |m|²), which sums to 1 over the tokens; and the position of that token.
    """
    import torch

    largest, position = norms.max(1)
    x = tokens[torch.arange(len(tokens), device=tokens.device), position].float()
    share = (x * mean).sum(1) / (count * mean.square().sum(1)).clamp_min(1e-30)
    ratio = torch.where(median > 0, largest / median, 1)
    return torch.stack([ratio, share, position.float()], dim=1)
