"""Alignment against performance over models, overall and for every class: does alignment predict what probes read?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.models.registry import family_of
from vlalign.probing.options import TITLES
from vlalign.probing.result import ProbeResult
from vlalign.scoring.conditions import conditions, data_of
from vlalign.scoring.naming import differences
from vlalign.stats.families import LEAST, FamilyCorrelation, family_correlation
from vlalign.store.checksums import canonical
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
        conditions: of scores and probes, as far as they differ between the correlations of this metric and modality.
        of: the main score of all classes, or F1 or R² of one class, label or number.
        references: names of the models of the other side.
        result: mean over references.
    """

    modality: str
    metric: str
    conditions: str
    of: str
    references: tuple[str, ...]
    result: FamilyCorrelation


@dataclass
class _Comparable:
    """Models of one modality that were scored and probed under the same conditions.

    Attributes:
        facts: conditions in words, by name.
        metric: name of the metric.
        models: results by the hash of their run.
        names: of the references, by their hash.
        scores: of each reference, by the hash of the model.
    """

    facts: Mapping[str, str]
    metric: str
    models: dict[str, ProbeResult] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def complete(self) -> list[str]:
        """Hashes of the models that were scored with every reference."""
        return [one for one in self.models if all(one in scores for scores in self.scores.values())]

    @property
    def modality(self) -> str:
        return str(next(iter(self.models.values())).modality)


def correlate(results: Sequence[ProbeResult], records: Iterable[ScoreRecord]) -> list[ProbeCorrelation]:
    """Correlate the alignment in score records with probes, over the models of each modality.

    The alignment of a record is its largest over layer pairs; models are matched by the hash of their runs. Only scores
    of equal metric, preset, samples and variant (see :mod:`vlalign.scoring.conditions`) and probes of equal labels,
    score and samples are correlated with each other: there is one correlation for each set of conditions, left out
    where fewer than five models have been probed and scored with every reference. Baselines do not count as models.

    Args:
        results: of probes.
        records: scores of these runs.
    """
    probed: dict[str, list[ProbeResult]] = {}
    for result in results:
        if result.run is not None and not is_baseline(result.run["key"]):
            probed.setdefault(result.run["hash"], []).append(result)
    groups: dict[str, _Comparable] = {}
    for record in records:
        sides = {label: getattr(record, label) for label in "xy"}
        if any(side["run"] and is_baseline(side["run"]["key"]) for side in sides.values()):
            continue
        for own, other in (("x", "y"), ("y", "x")):
            model = str((sides[own]["run"] or {}).get("hash", ""))
            if model in probed and sides[own].get("modality") != sides[other].get("modality"):
                reference = _identity(sides[other], record)
                for result in probed[model]:
                    key, facts = _conditions(record, own, reference, result)
                    group = groups.setdefault(key, _Comparable(facts, record.metric["name"]))
                    group.models[model] = result
                    group.names[reference] = str(sides[other]["model"])
                    group.scores.setdefault(reference, {})[model] = record.score
    enough = {key: group for key, group in groups.items() if len(group.complete) >= LEAST}
    return [one for key, group in enough.items() for one in _of_group(group, _title(key, enough))]


def _identity(side: Mapping[str, Any], record: ScoreRecord) -> str:
    """Return the hash of a side's run, else name and content of its array, else the title of the record."""
    if side["run"]:
        return str(side["run"]["hash"])
    content = (side.get("tensor") or {}).get("sha256")
    return f"{side['model']} {content[:16]}" if isinstance(content, str) else record.title


def _conditions(record: ScoreRecord, own: str, reference: str, result: ProbeResult) -> tuple[str, dict[str, str]]:
    """Return a key, equal for scores and probes that may be compared, and the conditions in words, by name."""
    shared = conditions(record, reference)
    side = "" if shared.symmetric else own
    recorded = data_of(getattr(record, own))
    data = getattr(record, own)["run"]["hash"] if recorded is None else recorded[1]
    classes = [row["class"] for row in result.classes]
    probes = [result.labels, result.task, result.score, result.n, result.parts, classes]
    parts = shared.parts
    facts = {
        "parameters": shared.metric.partition(":")[2].replace(",", ", ").replace("=", " = "),
        "preset": f"preset {parts['preset']}", "N": f"N = {record.n:,}", "data": parts["data"],
        "variant": parts.get("variant", ""), "side": side and f"models as {side}", "labels": result.labels,
        "score": TITLES[result.score], "probed": f"{result.n:,} samples probed",
    }  # fmt: skip
    return canonical([shared.id, side, result.modality, data, probes]), facts


def _title(key: str, groups: Mapping[str, _Comparable]) -> str:
    """Return in what a group differs from the others of its metric and modality; empty if it is the only one."""
    group = groups[key]
    alike = {name: one for name, one in groups.items() if (one.metric, one.modality) == (group.metric, group.modality)}
    texts = differences([one.facts for one in alike.values()])
    place = list(alike).index(key)
    text = texts[place]
    return text if texts.count(text) == 1 else ", ".join(filter(None, [text, f"samples {place + 1}"]))


def _of_group(group: _Comparable, title: str) -> list[ProbeCorrelation]:
    models = group.complete
    alignment = np.array([[scores[one] for one in models] for scores in group.scores.values()])
    chosen = [group.models[one] for one in models]
    families = [family_of(one.run["key"].get("model") or {}, one.model) for one in chosen if one.run is not None]
    first = chosen[0]
    name = "r2" if first.task == "regression" else "f1"
    performance: dict[str, list[float]] = {f"{TITLES[first.score]}, all": [one.value for one in chosen]}
    if len(first.classes) > 1:
        for i, row in enumerate(first.classes):  # the same classes for all models of the group
            performance[f"{TITLES.get(name, 'F1')}, {row['class']}"] = [one.classes[i][name] for one in chosen]
    references = tuple(group.names[one] for one in group.scores)
    return [
        ProbeCorrelation(
            group.modality, group.metric, title, of, references, family_correlation(alignment, values, families)
        )
        for of, values in performance.items()
    ]


def correlation_frame(correlations: Sequence[ProbeCorrelation]) -> pd.DataFrame:
    """Return one row for each correlation."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {"modality": one.modality, "metric": one.metric, "conditions": one.conditions, "performance": one.of,
         **vars(one.result), "references": len(one.references)} for one in correlations
    ]  # fmt: skip
    return pd.DataFrame(rows)
