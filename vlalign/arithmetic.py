"""Exact float32 arithmetic, whatever precision the calling program has set in torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

_lock = Lock()
_before: list[tuple[Any, ...]] = []  # of each block that is entered, in any thread; the first holds the settings before


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 products and convolutions in float32 inside the block, or inside a function it decorates.

    The caller's ``torch.set_float32_matmul_precision``, ``allow_tf32`` and ``fp32_precision`` would round their inputs
    to TF32 (10 bits) or bfloat16 (7 bits), cuDNN rounds those of convolutions by default, and ``torch.autocast``
    computes in half precision. Results would not be those that their records and keys describe. Models and features in
    half precision are computed in their dtype. The settings are global in torch: the last block to end restores them.

    >>> import torch
    >>> torch.set_float32_matmul_precision("medium")
    >>> with exact_float32():
    ...     torch.get_float32_matmul_precision()
    'highest'
    >>> torch.get_float32_matmul_precision()
    'medium'
    >>> torch.set_float32_matmul_precision("highest")
    """
    import torch

    with _lock:
        _before.append(() if _before else _set_exact())
    accelerator = torch.accelerator.current_accelerator()
    try:
        with ExitStack() as stack:
            for kind in {"cpu", accelerator.type if accelerator else "cpu"}:
                if torch.is_autocast_enabled(kind):
                    stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        with _lock:
            settings = _before.pop(0)
            if _before:
                _before[0] = settings
            else:
                _restore(*settings)


def _places() -> tuple[list[Any], str, Any]:
    """Return the parts of torch that have a precision, the name of the setting, and its exact value."""
    import torch

    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):  # PyTorch 2.8 has one switch for convolutions, and one for products
        return [backends.cudnn], "allow_tf32", False
    mkldnn = [backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]
    return [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, *mkldnn], "fp32_precision", "ieee"


def _set_exact() -> tuple[str, list[Any]]:
    """Set everything to exact; return what was set before."""
    import torch

    places, name, exact = _places()
    values = [getattr(place, name) for place in places]
    for place in places:
        setattr(place, name, exact)
    products = torch.get_float32_matmul_precision()  # after the others: torch refuses to read it beside some of them
    torch.set_float32_matmul_precision("highest")
    return products, values


def _restore(products: str, values: list[Any]) -> None:
    import torch

    torch.set_float32_matmul_precision(products)
    places, name, _ = _places()
    for place, value in zip(places, values, strict=True):
        setattr(place, name, value)
