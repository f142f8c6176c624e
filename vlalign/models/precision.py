"""Number formats: dtype of the weights, and quantization through bitsandbytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    import torch

#: bytes that one weight takes (4-bit formats include their block scales)
BYTES_PER_WEIGHT = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1.0, "nf4": 0.53, "fp4": 0.53}


def choose_dtype(requested: str, modality: str, device: torch.device, quantization: str = "none") -> tuple[str, str]:
    """Choose the dtype of the weights; return it with the reason.

    ``auto`` is bfloat16 on GPUs that compute in it: for text models as the reference code does, for vision models
    because it is 2 to 5 times faster. On older GPUs it is float16 for text models, which are large, and float32 for
    vision models, some of which overflow in float16; on a CPU it is float32.

    Args:
        requested: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        modality: ``"text"`` or ``"vision"``.
        device: where the model will run.
        quantization: ``none``; or ``int8``, ``nf4`` or ``fp4``: the dtype is then that of the other layers and of the
            arithmetic.

    Returns:
        ``(dtype name, reason)``.

    Example:
        >>> import torch
        >>> choose_dtype("auto", "text", torch.device("cpu"))
        ('float32', 'auto: on a CPU float32 is exact and always supported')
    """
    import torch

    if requested != "auto":
        return requested, "asked for with --dtype"
    half = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if modality == "vision" and half:
        reason = "it is 2 to 5 times faster and changes features by about 1 %; the published ones are float32"
        return "bfloat16", f"auto: this GPU computes in bfloat16: {reason}"
    if modality == "vision":
        return "float32", "auto: vision models are small and their published features are float32"
    if device.type == "cuda":
        if half:
            return "bfloat16", "auto: this GPU computes in bfloat16, as the reference features do"
        return "float16", "auto: this GPU has no bfloat16 arithmetic"
    if device.type in ("xpu", "npu", "hpu"):
        return "bfloat16", f"auto: {device.type} accelerators compute in bfloat16"
    if quantization != "none":
        return "float32", f"auto: on a CPU the arithmetic around {quantization} weights is float32"
    return "float32", "auto: on a CPU float32 is exact and always supported"


def check_quantization(quantization: str, modality: str, model: str) -> None:
    """Refuse quantization that bitsandbytes cannot do, before any weight is read.

    Raises:
        VlalignError: a vision model, or bitsandbytes missing.
    """
    from importlib.util import find_spec

    if quantization == "none":
        return
    if modality == "vision":
        raise VlalignError(
            f"--quantization {quantization} is for text models, but {model} is a vision model: "
            "leave the flag out for it (run vision and text models in separate commands)"
        )
    if find_spec("bitsandbytes") is None:
        raise VlalignError(f"--quantization {quantization} needs bitsandbytes: pip install bitsandbytes")


def quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    """Return the transformers quantization config, or None. 4-bit weights are double-quantized, as in the reference."""
    if quantization == "none":
        return None
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_use_double_quant=True,
    )
