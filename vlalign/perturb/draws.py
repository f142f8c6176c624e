"""Random draws of a sample: the same in any order, batch or world size, and nested across rates."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def draws(seed: int, operation: str, sample: str) -> np.random.RandomState:
    """Return the random numbers of a sample under an operation, seeded by SHA-256 of (seed, operation, id).

    The rate does not count: an operation draws for all positions and uses the share that the rate requires, so edits at
    10 % are the same at 20 %. ``RandomState`` is used because numpy promises never to change its streams (NEP 19).

    >>> draws(0, "char_delete", "a").randint(100) == draws(0, "char_delete", "a").randint(100)
    True
    """
    import numpy as np

    digest = hashlib.sha256("\x1f".join(("vlalign", str(seed), operation, sample)).encode()).digest()
    bits: Any = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    return np.random.RandomState(bits)


def share(n: int, rate: float) -> int:
    """Return the number of ``n`` items that a rate in percent takes, rounded down like the reference.

    The formula is ``int(n · rate / 100)``.

    >>> share(7, 50), share(7, 100)
    (3, 7)
    """
    return int(n * rate / 100)


def chosen(n: int, rate: float, draw: np.random.RandomState) -> NDArray[np.int64]:
    """Return the positions [share] of 0 … n−1 that a rate takes, in the order drawn; a smaller rate's come first.

    >>> few, more = (chosen(20, rate, draws(0, "op", "a")) for rate in (20, 50))
    >>> bool((more[: len(few)] == few).all())
    True
    """
    return draw.permutation(n)[: share(n, rate)]
