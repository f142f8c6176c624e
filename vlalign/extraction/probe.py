"""Trial reading of a loaded text model, which shows where its states are and whether they depend on the batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from vlalign.errors import VlalignError, short_line
from vlalign.extraction.pool import MisshapenState
from vlalign.extraction.readers import FailedForward, NotFinite, TextReader, forwards
from vlalign.models.structure import Tap
from vlalign.models.text import Batches, TextModel
from vlalign.store import Shard

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

#: relative difference of a text's states that rounding can explain, by the dtype of the arithmetic
_ROUNDING = {"float32": 5e-5, "float16": 3e-3, "bfloat16": 2e-2}
_HALF = ("float16", "bfloat16")
_ROUNDING_INT8 = 5e-2  # outlier features are chosen per batch

_LENGTHS = (12, 3)  # tokens of the texts that are tried: one is padded to the other
_DEPENDS = {
    "equal": "padding, so texts are read in batches of equal lengths",
    "single": "the other texts of a batch, so texts are read one at a time",
}


def probe(model: TextModel, name: str, limit: int | None, dtype: str, quantization: str) -> TextModel:
    """Return the model with ``own_states`` and ``batches`` set by a trial reading.

    Made-up texts are read alone and in a batch. A model whose blocks pass states of another shape than one vector
    per token is read through the ``hidden_states`` that it returns. States that padding changes beyond rounding
    (FNet mixes it in) are read in batches of equal lengths, and those that other texts change (experts with a
    capacity) one text at a time. Where half precision leaves doubt, float32 decides if memory allows. A loss is refused
    where a later token changes the states of earlier ones.

    Args:
        model: loaded.
        name: shown in messages.
        limit: longest input in tokens.
        dtype: of the arithmetic.
        quantization: of the weights.

    Raises:
        VlalignError: the model gives no state for each token, or other states each time, or its loss would be that of a
            model that sees the tokens which it predicts.
    """
    rounding = _ROUNDING_INT8 if quantization == "int8" else _ROUNDING[dtype]
    lengths = [min(length, limit or length) for length in _LENGTHS]
    try:
        try:
            first = _read(replace(model, batches="single"), name, lengths)
        except MisshapenState as error:
            logger.info("%s: states are those that the model returns, because %s", name, error)
            model = replace(model, own_states=True, taps=_own_taps(model))
            first = _read(replace(model, batches="single"), name, lengths)
        batches = _batches(model, name, first, lengths, rounding)
        if batches != "padded" and dtype in _HALF and quantization == "none":
            with _in_float32(model.module) as fits:
                if fits:  # rounding adds up over many layers
                    first = _read(replace(model, batches="single"), name, lengths)
                    batches = _batches(model, name, first, lengths, _ROUNDING["float32"])
        if (model.head is not None or model.full is not None) and lengths[0] > 1:
            _check_causal(model, name, lengths[0], rounding, dtype in _HALF and quantization == "none")
    except NotFinite:
        return model  # broken weights: extraction names the sample and the layer
    except MisshapenState as error:
        raise VlalignError(f"{name}: its layers cannot be read: {error}") from error
    except FailedForward as error:
        reason = short_line(error.__cause__ or error)
        raise VlalignError(f"{name} cannot be read as a text model: {reason}") from error
    if batches != "padded":
        logger.info("%s: its states depend on %s", name, _DEPENDS[batches])
    return replace(model, batches=batches)


def _check_causal(model: TextModel, name: str, length: int, rounding: float, in_half: bool) -> None:
    """Refuse a loss where the last token of a text changes the states of others beyond rounding."""
    changes = _changes_by_last_token(model, name, length)
    if in_half and changes.max() > rounding:  # rounding can choose other experts for a token
        with _in_float32(model.module) as fits:
            if fits:
                changes, rounding = _changes_by_last_token(model, name, length), _ROUNDING["float32"]
            else:
                changes = changes.median()
    if changes.max() > rounding:
        raise VlalignError(
            f"{name}: its states depend on later tokens, so bits per byte would be those of a model that sees the "
            "tokens which it predicts: pass --no-loss to extract the features alone"
        )


def _changes_by_last_token(model: TextModel, name: str, length: int) -> Tensor:
    """Return the change of each token's final state, relative to its norm, by another last token of the text."""
    import torch

    tokens, other = _made_up(model, [length, length])
    accepted = {"use_cache": False} if "use_cache" in model.accepts else {}
    states = []
    with torch.inference_mode(), forwards(name, "trial text"):
        for text in (tokens, [*tokens[:-1], other[-1]]):
            ids = torch.tensor([text], device=model.device)
            output = model.module(input_ids=ids, attention_mask=torch.ones_like(ids), **accepted)
            states.append(output.last_hidden_state[0, :-1].float())
    return (states[0] - states[1]).norm(dim=1) / states[1].norm(dim=1).clamp_min(1e-30)


@contextmanager
def _in_float32(module: nn.Module) -> Iterator[bool]:
    """Hold half-precision weights in float32 inside the block; yields False and changes nothing if they do not fit."""
    import torch

    weights = [one for one in module.parameters() if one.dtype in (torch.float16, torch.bfloat16)]
    before = [one.dtype for one in weights]
    devices = {one.device for one in weights}
    fits = sum(one.nbytes for one in weights) < 0.8 * min(map(_free_bytes, devices), default=0)
    try:
        if fits:
            for one in weights:
                one.data = one.data.float()
        yield fits
    finally:
        for one, dtype in zip(weights, before, strict=True):
            one.data = one.data.to(dtype)


def _free_bytes(device: torch.device) -> int:
    """Return the free memory of a device; 0 where it is not known."""
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available) if device.type == "cpu" else 0


def _batches(model: TextModel, name: str, first: list[Tensor], lengths: Sequence[int], rounding: float) -> Batches:
    """Determine what states depend on, given those of the texts read alone."""
    if model.batches == "padded" and _apart(first, _read(model, name, lengths)) <= rounding:
        return "padded"
    alone = replace(model, batches="single")
    if _apart(first, _read(alone, name, lengths)) > rounding:
        raise VlalignError(
            f"{name}: its states differ each time that a text is read, because they are drawn at random, so they "
            "cannot be compared with others"
        )
    alike = [min(lengths)] * 4
    together = _read(replace(model, batches="equal"), name, alike)
    return "equal" if _apart(_read(alone, name, alike), together) <= rounding else "single"


def _own_taps(model: TextModel) -> list[Tap]:
    """Return the layer axis of all states that a model returns itself."""
    import torch

    ids = torch.tensor(_made_up(model, [max(_LENGTHS)]), device=model.device)
    with torch.inference_mode(), forwards("", ""):
        output = model.module(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    states = getattr(output, "hidden_states", None)
    if not states:
        raise MisshapenState("it returns no hidden_states")
    names = ["embeddings", *(f"block_{i}" for i in range(len(states) - 1))]
    return [
        Tap(name, state.shape[-1], f"hidden_states[{i}] of transformers", "")
        for i, (name, state) in enumerate(zip(names, states, strict=True))
    ]


def _made_up(model: TextModel, lengths: Sequence[int]) -> list[list[int]]:
    """Make token ids from the upper three quarters of the vocabulary, where few families keep special tokens."""
    try:
        rows = int(model.module.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        rows = int(getattr(model.module.config, "vocab_size", None) or 256)
    usable = rows - rows // 4
    return [[rows // 4 + (i * 7919 + j * 104_729) % usable for j in range(n)] for i, n in enumerate(lengths)]


def _read(model: TextModel, name: str, lengths: Sequence[int]) -> list[Tensor]:
    """Return the mean states of made-up texts of these lengths in tokens, one ``[N, D]`` per layer."""
    tokens = _made_up(model, lengths)
    ids, budget = [f"trial text {i}" for i in range(len(tokens))], len(lengths) * max(lengths)
    reader = TextReader(replace(model, head=None, full=None), name, ids, tokens, {}, ("mean",), budget)
    [(_, assemble)] = reader.read([Shard(0, 0, len(tokens))], lambda count: None)
    return list(assemble().features[0].values())


def _apart(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Compute the largest difference of a text's states relative to their norm, over layers and texts."""
    return max(float(((x - y).norm(dim=1) / y.norm(dim=1).clamp_min(1e-30)).max()) for x, y in zip(a, b, strict=True))
