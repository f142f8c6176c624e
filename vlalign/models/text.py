"""Text models: causal and encoder transformers, their tokenizers and what of them is read."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from vlalign.errors import VlalignError
from vlalign.models.loading import check_weights, load_pretrained
from vlalign.models.precision import quantization_config
from vlalign.models.source import ModelSource, load_config, model_errors
from vlalign.models.structure import Tap, depth_of, find_blocks

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

_LENGTH_KEYS = ("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length")
_UNBOUNDED = 10**8  # tokenizers without a limit say 10**30


class Encode(Protocol):
    """Token ids of texts; cut to ``limit`` tokens, special ones kept, where one is given."""

    def __call__(self, texts: Sequence[str], limit: int | None = None, /) -> list[list[int]]: ...


@dataclass(frozen=True)
class Tokenizer:
    """Token ids of texts, and the settings that decide them.

    Padding is not the tokenizer's business here: batches are padded on the right with an arbitrary id that the mask
    hides, so families without a padding token (LLaMA) need no invented one.
    """

    encode: Encode
    policy: dict[str, Any]
    max_length: int | None
    filler: int | None = None  # what stands for a text without tokens: beginning, separator, end or padding


def load_tokenizer(source: ModelSource, max_length: int | None = None) -> Tokenizer:
    """The tokenizer of a model under its family's policy.

    OpenLLaMA checkpoints come with a SentencePiece model only, and fast tokenizers made from it have split words
    differently from it (transformers issue 24233): for that family SentencePiece itself is used.

    Args:
        source: the model.
        max_length: longest sequence in tokens; None for the model's own limit.

    Raises:
        VlalignError: no tokenizer there, or a ``max_length`` beyond the model's limit.
    """
    config = load_config(source)
    filler: int | None
    if source.spec.tokenizer == "sentencepiece":
        encode, policy, own_limit, filler = _sentencepiece(source)
    else:
        encode, policy, own_limit, filler = _auto_tokenizer(source)
    limits = [getattr(config, key) for key in _LENGTH_KEYS if isinstance(getattr(config, key, None), int)]
    if own_limit is not None:
        limits.append(own_limit)
    limit = min(limits, default=None)
    if max_length is not None:
        if max_length < 1 or (limit is not None and max_length > limit):
            raise VlalignError(f"--max-length {max_length}: {source.spec.alias} takes 1 to {limit} tokens")
        limit = max_length
    return Tokenizer(encode, {**policy, "max_length": limit, "padding": "right"}, limit, filler)


def _auto_tokenizer(
    source: ModelSource,
) -> tuple[Encode, dict[str, Any], int | None, int | None]:
    from transformers import AutoTokenizer

    with model_errors(source, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(source.location, **source.pretrained_arguments())
        if set(tokenizer.get_vocab().values()) <= set(tokenizer.all_special_ids):
            raise ValueError("it has no vocabulary but its special tokens: are its files missing?")
    tokenizer.model_max_length, own_limit = int(1e30), tokenizer.model_max_length

    def encode(texts: Sequence[str], limit: int | None = None, /) -> list[list[int]]:
        options = {} if limit is None else {"truncation": True, "max_length": limit}
        with model_errors(source, "tokenizer"):
            return tokenizer(list(texts), padding=False, return_attention_mask=False, **options)["input_ids"]

    policy = {"tokenizer": type(tokenizer).__name__, "special_tokens": True}
    marks = (getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "cls", "eos", "sep", "pad", "unk"))
    filler = next((mark for mark in marks if mark is not None), None)
    return encode, policy, own_limit if own_limit < _UNBOUNDED else None, filler


def _sentencepiece(source: ModelSource) -> tuple[Encode, dict[str, Any], None, int]:
    from sentencepiece import SentencePieceProcessor

    with model_errors(source, "tokenizer"):
        processor = SentencePieceProcessor(model_file=str(source.file("tokenizer.model")))
    bos = processor.bos_id()

    def encode(texts: Sequence[str], limit: int | None = None, /) -> list[list[int]]:
        return [[bos, *ids][:limit] for ids in processor.encode(list(texts))]

    return encode, {"tokenizer": "sentencepiece", "special_tokens": True}, None, bos


def is_causal(config: Any) -> bool:
    """Whether the checkpoint is a causal language model with its head, so that a loss can be computed.

    GGUF files name no architecture class; they hold causal language models.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL_MODELS

    names = getattr(config, "architectures", None)
    if not names:
        return config.model_type in CAUSAL_MODELS and getattr(config, "is_decoder", None) is not False
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)


@dataclass
class TextModel:
    """A loaded text model and the parts that extraction reads.

    The layer axis is that of transformers' ``hidden_states``: what enters block 0, block 1 …, then the output of the
    base model, which is after the final norm where there is one.

    Attributes:
        module: the transformer without its head.
        taps: the layer axis, ``depth + 1`` entries.
        head: maps final states ``[M, D]`` to logits ``[M, V]``; None for encoders or when no loss is wanted.
        full: the whole language model, for families whose logits are more than ``head(state)``; else None.
        device: where token ids go.
        accepts: names of the forward's arguments.
    """

    module: nn.Module
    taps: list[Tap]
    head: Callable[[Tensor], Tensor] | None
    full: nn.Module | None
    device: torch.device
    accepts: frozenset[str] = field(default_factory=frozenset)


def text_taps(module: nn.Module, config: Any) -> list[Tap]:
    """The layer axis of a base text model (also one on the meta device)."""
    depth = depth_of(config)
    if depth is None:
        raise VlalignError(f"{type(module).__name__}: its config does not say how many blocks it has")
    blocks, width = find_blocks(module, depth), config.hidden_size
    taps = [
        Tap(
            "embeddings",
            width,
            "what enters block 0: token embeddings, with positions where they are added",
            f"{blocks}.0",
        )
    ]
    taps += [
        Tap(f"block_{i}", width, f"residual stream after block {i}", f"{blocks}.{i + 1}") for i in range(depth - 1)
    ]
    final = getattr(config, "word_embed_proj_dim", None) or width  # small OPTs project their final state
    taps.append(
        Tap(f"block_{depth - 1}", final, "output of the base model: after the final norm where there is one", "")
    )
    return taps


def load_text_model(
    source: ModelSource,
    *,
    dtype: torch.dtype,
    device: torch.device,
    quantization: str = "none",
    split: bool = False,
    loss: bool = True,
) -> TextModel:
    """Loads a text model for reading, in evaluation mode.

    Args:
        source: exact weights.
        dtype: of the weights that are not quantized.
        device: where the copy goes, unless ``split``.
        quantization: ``none``, ``int8``, ``nf4`` or ``fp4``.
        split: spread one copy over all visible devices (accelerate's ``device_map="auto"``).
        loss: also load the language-model head of a causal model.

    Raises:
        VlalignError: weights missing, or the family cannot be read.
    """
    import torch
    from transformers import AutoModel, AutoModelForCausalLM

    config = load_config(source)
    causal = loss and is_causal(config)
    arguments: dict[str, Any] = {"dtype": dtype}
    if quantization != "none":
        arguments["quantization_config"] = quantization_config(quantization, dtype)
    if split:
        arguments["device_map"] = "auto"
    elif quantization != "none" or device.type != "cpu":
        arguments["device_map"] = {"": device}
    factory = AutoModelForCausalLM if causal else AutoModel
    model, report = load_pretrained(factory, source, **arguments)
    model.eval().requires_grad_(False)
    base = model.base_model if causal else getattr(model, "text_model", model)
    if any(name.startswith("pooler.") for name in report.missing):
        base.pooler = None  # nothing reads it, and bitsandbytes cannot run one without weights
    start = torch.device(model.get_input_embeddings().weight.device if split else device)
    taps, accepts = text_taps(base, base.config), frozenset(inspect.signature(base.forward).parameters)

    def result() -> Tensor:
        ids = torch.arange(4, device=start)[None]
        return model(input_ids=ids).logits if causal else base(input_ids=ids).last_hidden_state

    check_weights(source, model, report, base=base, taps=taps, result=result)
    full: nn.Module | None = None
    head: Callable[[Tensor], Tensor] | None = None
    if causal:
        head = model.get_output_embeddings()
        if head is None or not _head_gives_logits(model, base, head):
            logger.info(
                "%s: logits are more than the head's product, so the loss runs through the whole model",
                source.spec.alias,
            )
            head, full = None, model
    return TextModel(base, taps, head, full, start, accepts)


def _head_gives_logits(model: nn.Module, base: nn.Module, head: Callable[[Tensor], Tensor]) -> bool:
    """Whether ``head(state)`` gives the model's own logits, tried on four tokens (capping or scaling break it)."""
    import torch

    ids = torch.arange(4, device=model.get_input_embeddings().weight.device)[None]  # type: ignore[operator]
    with torch.inference_mode():
        theirs = model(input_ids=ids, use_cache=False).logits.float()
        ours = head(base(input_ids=ids, use_cache=False).last_hidden_state).float().to(theirs.device)
    scale = float(theirs.abs().max())
    if not math.isfinite(scale):
        return True  # broken weights: extraction will name the layer
    return torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * scale)
