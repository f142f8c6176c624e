"""Advice on alignment: a controlled experiment on the user's data, and a verdict with its evidence.

The function is :func:`vlalign.advise`; the package has another name, as a function never has that of a package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.advice.config import AdviceConfig
    from vlalign.advice.results import AdviceResult
    from vlalign.advice.run import advise
    from vlalign.advice.study import AdviceStudy

__all__ = ["AdviceConfig", "AdviceResult", "AdviceStudy", "advise"]
__getattr__ = lazy_names(
    __name__, {"AdviceConfig": "config", "AdviceResult": "results", "AdviceStudy": "study", "advise": "run"}
)
