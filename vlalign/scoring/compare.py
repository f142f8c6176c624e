"""Two runs, or two records, against one reference: which is more aligned, and at which layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlalign.config import keywords, plain, select
from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Metric
from vlalign.metrics.registry import METRICS, parse_metric
from vlalign.scoring.conditions import conditions, data_of, different
from vlalign.scoring.grouping import are_exact, resolve_groups
from vlalign.scoring.inputs import Features, Side, check_pairing
from vlalign.scoring.layers import PreparedSide
from vlalign.scoring.options import CompareKeywords, CompareOptions
from vlalign.scoring.preprocessing import get_preset
from vlalign.scoring.record import ScoreRecord, write_json
from vlalign.stats.difference import paired_differences
from vlalign.stats.fdr import benjamini_hochberg


@dataclass(frozen=True)
class Comparison:
    """Alignment of a and b with one reference. Plain JSON values; ``save`` writes them.

    Attributes:
        a, b, reference: sides as in a score record.
        metric: name and parameters; ``preset`` and ``n`` as in a score record.
        scores: of ``a`` and ``b``: score, layer and reference layer of the best pair, and low and high of its interval
            where the record has one.
        difference: score of a minus that of b.
        test: of no difference, by half-samples (:func:`vlalign.stats.difference.paired_differences`): ``p_value``, and
            ``q_value`` where there are several references; ``largest`` and ``crossed``, each with difference, interval
            and p-value, of the scores as they are and of layers picked on one half of the samples and scored on the
            other (``half`` samples); None from records, which have no samples.
        overlap: from records with intervals, whether these overlap; else None.
        axes: layers of a and b, and of the reference, where both have the same ones; else None, as ``matrix``.
        matrix: a minus b of every layer pair.
        layers: for each layer of a and b, the difference of its largest values over the reference's layers; with
            interval, p and q where ``test`` has them. Empty where the layers are not the same.
        made_from: ``features`` or ``records``.
        groups: as in a score record; None where every sample is a separate group.
    """

    a: dict[str, Any]
    b: dict[str, Any]
    reference: dict[str, Any]
    metric: dict[str, Any]
    preset: str
    n: int
    scores: dict[str, dict[str, Any]]
    difference: float
    test: dict[str, Any] | None
    overlap: bool | None
    axes: dict[str, list[str]] | None
    matrix: list[list[float]] | None
    layers: list[dict[str, Any]]
    made_from: str
    environment: dict[str, Any]
    groups: dict[str, Any] | None = None
    format: int = 1

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all; returns the path.

        Raises:
            VlalignError: if the file cannot be written.
        """
        return write_json(path, asdict(self), "comparison")


@keywords(CompareKeywords)
def compare(a: Features | ScoreRecord, b: Features | ScoreRecord, options: CompareKeywords) -> Comparison:
    """Compare the alignment of two models with a reference: two runs by a paired test, or two records.

    Args:
        a: a run, or features as the sides of :func:`vlalign.score`; or a record.
        b: likewise.
        options: of the test.

    All runs must hold the same samples, but one may be of edited data: the difference is then also that of the edits.
    A metric that is not symmetric has a reference that is a text model on side y where ``a`` is a vision model.

    Raises:
        VlalignError: sides of different samples or data, records of different conditions, or anything that
            :func:`vlalign.score` refuses.

    >>> draw = torch.Generator().manual_seed(0)
    >>> near, far, noise = (torch.randn(60, 8, generator=draw) for _ in range(3))
    >>> comparison = compare(near, far, reference=near + noise, k=5)
    >>> comparison.difference > 0, comparison.test["p_value"] < 0.01
    (True, True)
    """
    if isinstance(a, ScoreRecord) and isinstance(b, ScoreRecord):
        if options != CompareKeywords():
            raise VlalignError("two records are compared as they are: give runs, and a reference, for other options")
        return compare_records(a, b)
    if isinstance(a, ScoreRecord) or isinstance(b, ScoreRecord) or options.reference is None:
        raise VlalignError("give two records, or two runs and the reference that both are compared with")
    side = usual_side(a, options.reference)
    return compare_runs(a, b, options.reference, select(options, CompareOptions), reference_side=side)


def usual_side(a: Features, reference: Features) -> str:
    """Return the side of the reference in scores with ``a``: ``y`` for a text model with a vision model, else ``x``."""
    modalities = [getattr(getattr(side, "key", None), "modality", None) for side in (a, reference)]
    return "y" if modalities == ["vision", "text"] else "x"


def compare_runs(
    a: Features, b: Features, reference: Features, options: CompareOptions, *, reference_side: str = "x"
) -> Comparison:
    """Compare the alignment of two runs (or features) with a reference, by a paired test on the same samples.

    Args:
        a, b, reference: as for :func:`compare`.
        options: of the test.
        reference_side: ``x`` or ``y``, for metrics that are not symmetric.

    Raises:
        VlalignError: sides that are not of the same samples or data, or what :func:`vlalign.score` refuses.
    """
    if reference_side not in ("x", "y"):
        raise VlalignError(f"the reference is on side x or y, not {reference_side!r}")
    if len(options.metrics) != 1:
        raise VlalignError("a comparison takes one metric")
    (metric,), groups = options.metrics, options.groups
    chosen = metric if isinstance(metric, Metric) else parse_metric(metric, k=options.k)
    sides = [Side(given, name) for given, name in ((a, "a"), (b, "b"), (reference, "reference"))]
    _check_same_data(sides[0], sides[1])
    by = {check_pairing(side, sides[2]) for side in sides[:2]}
    if by == {"id"}:
        for side in sides[1:]:
            assert sides[0].ids is not None
            side.put_in_order(sides[0].ids)
    ids = sides[0].ids if by == {"id"} else None
    labels = None if are_exact(groups) else resolve_groups(groups, ids, sides[0].n)  # mistakes before any work
    where = None if options.device is None else torch.device(options.device)
    prepared = [PreparedSide(side, get_preset(options.preset), options.concat, where) for side in sides]
    for each in prepared:
        chosen.check(each.side.n, each.widths)
        each.prepare(chosen, {})
    layers = [[one.layer(i) for i in one.varied] for one in prepared]
    if are_exact(groups):
        labels = resolve_groups(groups, ids, sides[0].n, *prepared)
    result = paired_differences(
        chosen, *layers, reference_first=reference_side == "x", seed=options.seed, count=options.halves(chosen),
        groups=None if labels is None else labels.labels,
    )  # fmt: skip
    names = [[str(one.axis[i]["name"]) for i in one.varied] for one in prepared]
    same = names[0] == names[1]
    rows = [one.summary() for one in result.layers] if same else []
    q_values = _false_discovery([row["p_value"] for row in rows])
    return Comparison(
        a=sides[0].describe(),
        b=sides[1].describe(),
        reference=sides[2].describe(),
        metric={"name": chosen.name, "params": plain(chosen.params)},
        preset=options.preset,
        n=sides[0].n,
        scores={n: _best(grid, names[i], names[2]) for i, (n, grid) in enumerate((("a", result.a), ("b", result.b)))},
        difference=float(result.a.max() - result.b.max()),
        test={
            "p_value": result.p_value, "largest": result.largest.summary(), "crossed": result.crossed.summary(),
            "half": result.half, "half_samples": result.count, "seed": options.seed,
        },
        overlap=None,
        axes={"layers": names[0], "reference": names[2]} if same else None,
        matrix=(result.a - result.b).tolist() if same else None,
        layers=[
            {"layer": name, **row, "q_value": q}
            for name, row, q in zip(names[0], rows, q_values, strict=True)
        ] if same else [],
        made_from="features",
        environment=environment(),
        groups=None if labels is None else labels.describe(),
    )  # fmt: skip


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Add q-values (Benjamini–Hochberg) to the tests of the same two runs with several references."""
    tests = [one.test or {} for one in comparisons]
    q_values = _false_discovery([test.get("p_value") for test in tests])
    return [
        replace(one, test={**test, "q_value": q}) if test else one
        for one, test, q in zip(comparisons, tests, q_values, strict=True)
    ]


def compare_records(a: ScoreRecord, b: ScoreRecord, *, edits_may_differ: bool = False) -> Comparison:
    """Compare two records of one reference: without the features only whether their intervals are apart, no test.

    Args:
        a, b: sound records (:mod:`vlalign.scoring.validation`).
        edits_may_differ: let one be of edited data.

    Raises:
        VlalignError: records of other conditions, of the same two runs, or without a common run.
    """
    both = [conditions(one, where, edits=not edits_may_differ) for one, where in ((a, "a"), (b, "b"))]
    if unlike := different(*both):
        raise VlalignError(f"{a.title} and {b.title} cannot be compared, they differ in {'; '.join(unlike)}")
    side_a, side_b = shared_sides(a, b)
    matrices, axes = [], []
    for record, side in ((a, side_a), (b, side_b)):
        matrix = np.asarray(record.matrix, dtype=float)
        matrices.append(matrix.T if side == "x" else matrix)
        axes.append([[str(layer["name"]) for layer in record.axes[one]] for one in (_other(side), side)])
    same = axes[0] == axes[1]
    difference = matrices[0] - matrices[1] if same else None
    profile = matrices[0].max(axis=1) - matrices[1].max(axis=1) if same else []
    intervals = [record.interval for record in (a, b)]
    overlap = None
    if intervals[0] is not None and intervals[1] is not None:
        overlap = bool(intervals[0]["low"] <= intervals[1]["high"] and intervals[1]["low"] <= intervals[0]["high"])
    scores = {}
    for name, grid, names, interval in zip("ab", matrices, axes, intervals, strict=True):
        scores[name] = _best(grid, *names)
        if interval is not None:
            scores[name] |= {"low": interval["low"], "high": interval["high"]}
    return Comparison(
        a=getattr(a, _other(side_a)),
        b=getattr(b, _other(side_b)),
        reference=getattr(a, side_a),
        metric=a.metric,
        preset=str(a.preprocessing["preset"]),
        n=a.n,
        scores=scores,
        difference=a.score - b.score,
        test=None,
        overlap=overlap,
        axes={"layers": axes[0][0], "reference": axes[0][1]} if same else None,
        matrix=None if difference is None else difference.tolist(),
        layers=[{"layer": name, "difference": float(d)} for name, d in zip(axes[0][0], profile, strict=True)]
        if same
        else [],
        made_from="records",
        environment=environment(),
        groups=a.pairing.get("groups"),
    )


def shared_sides(a: ScoreRecord, b: ScoreRecord) -> tuple[str, str]:
    """Return the side of each record that holds their common run.

    Raises:
        VlalignError: they have both runs in common, or no run.
    """
    known = METRICS.get(a.metric["name"])
    exchange = known is not None and known.info.symmetric
    hashes = {(name, side): _hash(getattr(r, side)) for name, r in (("a", a), ("b", b)) for side in ("x", "y")}
    shared = [
        (side, other)
        for side in ("x", "y")
        for other in ("x", "y")
        if (side == other or exchange) and hashes["a", side] == hashes["b", other] != ""
    ]
    if len(shared) > 1:
        raise VlalignError(f"both are of the same two runs, {a.title}: there is nothing to compare")
    if not shared:
        raise VlalignError(f"{a.title} and {b.title} have no run in common: compare two runs against one reference")
    return shared[0]


def _other(side: str) -> str:
    return "y" if side == "x" else "x"


def _hash(side: Mapping[str, Any]) -> str:
    return str(side["run"]["hash"]) if side["run"] else ""


def _check_same_data(a: Side, b: Side) -> None:
    """Raise VlalignError if a and b did not read the same data, apart from edits."""
    if a.run is None or b.run is None:
        return
    first, second = data_of(a.describe()), data_of(b.describe())
    if first is not None and second is not None and {**first[1], "edits": 0} != {**second[1], "edits": 0}:
        raise VlalignError(
            f"{a.model} and {b.model} cannot be compared, they are of other data: {first[0]} and {second[0]}"
        )


def _best(matrix: Floats, names: list[str], reference: list[str]) -> dict[str, Any]:
    i, j = np.unravel_index(int(np.argmax(matrix)), matrix.shape)
    return {"score": float(matrix[i, j]), "layer": names[i], "reference_layer": reference[j]}


def _false_discovery(p_values: list[float | None]) -> list[float | None]:
    known = [p for p in p_values if p is not None]
    adjusted = iter(benjamini_hochberg(known).tolist())
    return [None if p is None else float(next(adjusted)) for p in p_values]
