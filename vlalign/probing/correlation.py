"""Alignment against performance over models, overall and for every class: does alignment predict what probes read?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.models.registry import family_of
from vlalign.probing.options import TITLES
from vlalign.probing.result import ProbeResult
from vlalign.stats.families import LEAST, FamilyCorrelation, family_correlation
from vlalign.store.key import is_baseline

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.scoring import ScoreRecord


@dataclass(frozen=True)
class ProbeCorrelation:
    """Correlation of the models of one modality with the models of the other as references.

    Attributes:
        modality: of the models whose alignment and performance are correlated.
        metric: of the alignment.
        of: the main score of all classes, or F1 or R² of one class, label or number.
        references: names of the models of the other side.
        result: mean over references.
    """

    modality: str
    metric: str
    of: str
    references: tuple[str, ...]
    result: FamilyCorrelation


def correlate(results: Sequence[ProbeResult], records: Iterable[ScoreRecord]) -> list[ProbeCorrelation]:
    """Correlate the alignment in score records with probes, over the models of each side, for each metric.

    The alignment of a record is its largest over layer pairs; models are matched by the hash of their runs. A side is
    left out where fewer than five of its models have been probed and scored with every reference. Baselines do not
    count as models.

    Args:
        results: of probes of the same labels.
        records: scores of these runs.
    """
    probed = {one.run["hash"]: one for one in results if one.run is not None and not is_baseline(one.run["key"])}
    tables: dict[tuple[str, str], dict[str, dict[str, float]]] = {}  # (metric, side) -> reference -> model -> score
    names: dict[str, str] = {}
    for record in records:
        sides = {label: getattr(record, label) for label in "xy"}
        if any(side["run"] and is_baseline(side["run"]["key"]) for side in sides.values()):
            continue
        hashes = {label: str((side["run"] or {}).get("hash", "")) for label, side in sides.items()}
        metric = f"{record.metric['name']} {record.metric['params']}"
        for own, other in (("x", "y"), ("y", "x")):
            if hashes[own] in probed and sides[own].get("modality") != sides[other].get("modality"):
                reference = hashes[other] or sides[other]["model"]
                names[reference] = sides[other]["model"]
                table = tables.setdefault((metric, own), {})
                table.setdefault(reference, {})[hashes[own]] = record.score
    return [one for (metric, _), table in tables.items() for one in _of_side(metric, table, probed, names)]


def _of_side(
    metric: str, table: dict[str, dict[str, float]], probed: dict[str, ProbeResult], names: dict[str, str]
) -> list[ProbeCorrelation]:
    models = [one for one in probed if all(one in scores for scores in table.values())]
    if len(models) < LEAST:
        return []
    alignment = np.array([[scores[one] for one in models] for scores in table.values()])
    chosen = [probed[one] for one in models]
    families = [family_of(one.run["key"].get("model") or {}, one.model) for one in chosen if one.run is not None]
    first = chosen[0]
    name = "r2" if first.task == "regression" else "f1"
    performance: dict[str, list[float]] = {f"{TITLES[first.score]}, all": [one.value for one in chosen]}
    if len(first.classes) > 1:
        title = TITLES.get(name, "F1")
        performance |= {
            f"{title}, {row['class']}": [one.classes[i][name] for one in chosen] for i, row in enumerate(first.classes)
        }
    references = tuple(names[one] for one in table)
    short = metric.partition(" ")[0]
    return [
        ProbeCorrelation(
            str(first.modality), short, of, references, family_correlation(alignment, values, families)
        )
        for of, values in performance.items()
    ]  # fmt: skip


def correlation_frame(correlations: Sequence[ProbeCorrelation]) -> pd.DataFrame:
    """Return one row for each correlation."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {"modality": one.modality, "metric": one.metric, "performance": one.of, **vars(one.result),
         "references": len(one.references)} for one in correlations
    ]  # fmt: skip
    return pd.DataFrame(rows)
