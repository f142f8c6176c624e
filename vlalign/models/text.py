"""Text models: causal and encoder transformers, their layer axis and language-model heads."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vlalign.errors import VlalignError
from vlalign.models.loading import check_weights, load_pretrained
from vlalign.models.precision import quantization_config
from vlalign.models.source import ModelSource, is_encoder_alone, load_config
from vlalign.models.structure import Tap, depth_of, find_blocks

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

#: families that mix padding into texts (FNet, ConvBERT, MobileBERT, YOSO) or choose their attention by the length
#: (BigBird)
_PADDING_MATTERS = frozenset({"big_bird", "convbert", "fnet", "mobilebert", "yoso"})
#: families whose ``LMHeadModel`` sees later tokens, unless ``causal`` is set in their config
_PERMUTED_OR_MASKED = frozenset({"flaubert", "xlm", "xlnet"})

Batches = Literal["padded", "equal", "single"]

logger = logging.getLogger(__name__)


def is_causal(config: Any) -> bool:
    """Return whether the checkpoint is a causal language model with its head, so that a loss can be computed.

    GGUF files name no architecture class; they hold causal language models.
    """
    return _is_named_causal(config) and not sees_later_tokens(config)


def sees_later_tokens(config: Any) -> bool:
    """Return whether the checkpoint has the name of a causal model, but a token's state depends on later tokens.

    So it is with XLNet, with masked models of XLM and FlauBERT, and with BERT and its relatives unless their config has
    ``is_decoder`` set. For other families this is tried when a model is loaded.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED_MODELS

    if not _is_named_causal(config):
        return False
    if config.model_type in _PERMUTED_OR_MASKED:
        return not getattr(config, "causal", False)
    return config.model_type in MASKED_MODELS and getattr(config, "is_decoder", None) is False


def _is_named_causal(config: Any) -> bool:
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
        own_states: take the layer axis from the ``hidden_states`` that the model returns, for families whose blocks
            pass states of another shape, or one block again and again.
        batches: what a text's states depend on: nothing else (``padded``), how many tokens the batch is padded to
            (``equal`` lengths only), or the other texts (``single`` texts only).
    """

    module: nn.Module
    taps: list[Tap]
    head: Callable[[Tensor], Tensor] | None
    full: nn.Module | None
    device: torch.device
    accepts: frozenset[str] = field(default_factory=frozenset)
    own_states: bool = False
    batches: Batches = "padded"


def padding_matters(config: Any) -> bool:
    """Return whether the states of a text are known to depend on how far its batch is padded, as the run key records.

    For unknown families this is tried when a model is loaded, but a key is needed before that.
    """
    return config.model_type in _PADDING_MATTERS


def base_factory(config: Any) -> Any:
    """Return the auto class that builds a model without its head: the encoder alone if the checkpoint has no more."""
    from transformers import AutoModel, AutoModelForTextEncoding

    return AutoModelForTextEncoding if is_encoder_alone(config) else AutoModel


def text_taps(module: nn.Module, config: Any) -> list[Tap]:
    """Return the layer axis of a base text model (also one on the meta device); taps lack modules without blocks."""
    depth = depth_of(config)
    if depth is None:
        raise VlalignError(f"{type(module).__name__}: its config does not state the number of blocks")
    width = config.hidden_size
    try:
        modules = [f"{find_blocks(module, depth)}.{i}" for i in range(depth)]
    except VlalignError:  # ALBERT repeats one block
        modules = [""] * depth
    embeddings = "what enters block 0: token embeddings, with positions where they are added"
    taps = [Tap("embeddings", width, embeddings, modules[0])]
    taps += [Tap(f"block_{i}", width, f"residual stream after block {i}", modules[i + 1]) for i in range(depth - 1)]
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
    """Load a text model for reading, in evaluation mode.

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
    from transformers import AutoModelForCausalLM

    config = load_config(source)
    causal = loss and is_causal(config)
    arguments: dict[str, Any] = {"dtype": dtype}
    if quantization != "none":
        arguments["quantization_config"] = quantization_config(quantization, dtype)
    if split:
        arguments["device_map"] = "auto"
    elif quantization != "none" or device.type != "cpu":
        arguments["device_map"] = {"": device}
    factory = AutoModelForCausalLM if causal else base_factory(config)
    model, report = load_pretrained(factory, source, **arguments)
    model.eval().requires_grad_(False)
    base = _base_of(model) if causal else getattr(model, "text_model", model)
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
    batches: Batches = "equal" if padding_matters(base.config) else "padded"
    return TextModel(base, taps, head, full, start, accepts, batches=batches)


def _base_of(model: Any) -> Any:
    """Return the language model without its head; LLaMA 4 names another attribute than the one that holds it."""
    base = model.base_model
    return getattr(model, "model", model) if base is model else base


def _head_gives_logits(model: nn.Module, base: nn.Module, head: Callable[[Tensor], Tensor]) -> bool:
    """Return whether ``head(state)`` gives the model's own logits, tried on four tokens (scaled logits differ)."""
    import torch

    ids = torch.arange(4, device=model.get_input_embeddings().weight.device)[None]  # type: ignore[operator]
    with torch.inference_mode():
        theirs = model(input_ids=ids, use_cache=False).logits.float()
        try:
            ours = head(base(input_ids=ids, use_cache=False).last_hidden_state).float().to(theirs.device)
        except RuntimeError:  # ELECTRA has layers between states and head
            return False
    scale = float(theirs.abs().max())
    if not math.isfinite(scale):
        return True  # broken weights: extraction will name the layer
    return torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * scale)
