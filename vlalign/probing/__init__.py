"""Linear probes of every layer: how well labels can be read from features, as the performance of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.probing.options import ProbeOptions
    from vlalign.probing.probe import probe_runs
    from vlalign.probing.result import ProbeResult, ProbeResults

__all__ = ["ProbeOptions", "ProbeResult", "ProbeResults", "probe_runs"]
__getattr__ = lazy_names(
    __name__,
    {"ProbeOptions": "options", "ProbeResult": "result", "ProbeResults": "result", "probe_runs": "probe"},
)
