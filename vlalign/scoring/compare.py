"""Two runs, or two records, against one reference: which is more aligned, and at which layers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.arithmetic import exact_float32
from vlalign.config import keywords, plain, select
from vlalign.display.result import Card, Result, Texts
from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats
from vlalign.metrics.registry import METRICS
from vlalign.scoring import comparison_tables
from vlalign.scoring.conditions import conditions, data_of, different
from vlalign.scoring.grouping import BY_ROW, are_by_row, resolve_groups
from vlalign.scoring.inputs import Features, Side, check_pairing, pairing_notes, sample_names
from vlalign.scoring.layers import PreparedSide, find_device
from vlalign.scoring.options import CompareKeywords, CompareOptions
from vlalign.scoring.preprocessing import PRESETS
from vlalign.scoring.record import ScoreRecord, write_json
from vlalign.stats.difference import paired_differences
from vlalign.stats.fdr import benjamini_hochberg

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_Names = tuple[list[str], list[str]]  # of rows and of columns


@dataclass(frozen=True, repr=False)
class Comparison(Result):
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
        pairing: of features: whether a and b are paired with the reference by ``id`` or by ``row``; None from records.
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
    pairing: dict[str, str] | None = None
    format: int = 1

    def lines(self) -> list[str]:
        """Return both models and the reference, the verdict, both scores, and what was measured."""
        a, b, reference = (comparison_tables.name_of(side) for side in (self.a, self.b, self.reference))
        scores = [f"{side}: {comparison_tables.score_text(self, side)}" for side in "ab"]
        verdict, measured = comparison_tables.verdict(self), comparison_tables.measured(self)
        return [f"{a} against {b}, aligned with {reference}", verdict, *scores, measured]

    def card(self) -> Card:
        """Return the card: verdict, facts, and the figure of :meth:`plot`."""
        *facts, (_, verdict) = comparison_tables.comparison_facts(self)
        return Card(self.lines()[0], [verdict], Texts([], facts), self.plot().figure, "a − b, layer by layer")

    def texts(self) -> Texts:
        """Return the table of one row that LaTeX and Markdown show."""
        return comparison_tables.texts([self])

    def to_frame(self) -> pd.DataFrame:
        """Return one row: models, scores, difference with interval and p-value, the same on halves, and N.

        Rows of several references can be concatenated; ``layers`` and ``matrix`` hold the differences of layers.
        """
        return comparison_tables.frame([self])

    def plot(self, ax: Any = None) -> Any:
        """Draw the difference a − b of every layer with its interval; of models with other layers, of the best pairs.

        Args:
            ax: Matplotlib axes (default: those of a new figure).

        Returns:
            The axes.
        """
        from vlalign.scoring.comparison_figures import draw_differences

        return draw_differences(self, ax)

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
    Rows of a and of b are paired with those of the reference, by id where both have ids, else by their order.
    A metric that is not symmetric has a reference that is a text model on side y where ``a`` is a vision model.

    Raises:
        VlalignError: sides of different samples or data, records of different conditions, or anything that
            :func:`vlalign.score` refuses.

    >>> import torch
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


@exact_float32()
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
    (metric,) = options.metrics
    sides = [Side(given, name) for given, name in ((a, "a"), (b, "b"), (reference, "reference"))]
    _check_same_data(sides[0], sides[1])
    by = [check_pairing(side, sides[2]) for side in sides[:2]]
    ids = sides[2].ids if "id" in by else None
    for side, how in zip(sides[:2], by, strict=True):
        for note in pairing_notes(side, sides[2], how):
            log.warning(note)
        if how == "id" and ids is not None:
            if side.ids != ids and are_by_row(options.groups):
                raise VlalignError(BY_ROW.format("groups", side.source, sides[2].source))
            side.put_in_order(ids)
    device = find_device(options.device)
    prepared = [PreparedSide(side, PRESETS[options.preset], options.concat, device) for side in sides]
    for each in prepared:
        metric.check(each.side.n, each.widths)
    groups = resolve_groups(options.groups, sample_names(sides[2], *sides[:2]), sides[0].n, *prepared)
    for each in prepared:
        each.prepare(metric, {})
    result = paired_differences(
        metric, *([one.layer(i) for i in one.varied] for one in prepared), reference_first=reference_side == "x",
        seed=options.seed, count=options.halves(metric), groups=None if groups is None else groups.labels,
    )  # fmt: skip
    names = [[str(one.axis[i]["name"]) for i in one.varied] for one in prepared]
    rows = [asdict(one) for one in result.layers]
    q_values = _false_discovery([row["p_value"] for row in rows])
    return Comparison(
        a=sides[0].describe(),
        b=sides[1].describe(),
        reference=sides[2].describe(),
        metric={"name": metric.name, "params": plain(metric.params)},
        preset=options.preset,
        n=sides[0].n,
        difference=float(result.a.max() - result.b.max()),
        test={
            "p_value": result.p_value, "largest": asdict(result.largest), "crossed": asdict(result.crossed),
            "half": result.half, "half_samples": result.count, "seed": options.seed,
        },
        overlap=None,
        made_from="features",
        environment=environment(),
        groups=None if groups is None else groups.describe(),
        pairing=dict(zip("ab", by, strict=True)),
        **_of_layers(
            result.a, result.b, (names[0], names[2]), (names[1], names[2]),
            [{**row, "q_value": q} for row, q in zip(rows, q_values, strict=True)],
        ),
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
    matrices, names = [], []
    for record, side in ((a, side_a), (b, side_b)):
        matrix = np.asarray(record.matrix, dtype=float)
        matrices.append(matrix.T if side == "x" else matrix)
        layers, reference = ([str(layer["name"]) for layer in record.axes[one]] for one in (_other(side), side))
        names.append((layers, reference))
    by_layer = _of_layers(matrices[0], matrices[1], names[0], names[1])
    for name, interval in (("a", a.interval), ("b", b.interval)):
        if interval is not None:
            by_layer["scores"][name] |= {"low": interval["low"], "high": interval["high"]}
    overlap = None
    if a.interval is not None and b.interval is not None:
        overlap = bool(a.interval["low"] <= b.interval["high"] and b.interval["low"] <= a.interval["high"])
    return Comparison(
        a=getattr(a, _other(side_a)),
        b=getattr(b, _other(side_b)),
        reference=getattr(a, side_a),
        metric=a.metric,
        preset=str(a.preprocessing["preset"]),
        n=a.n,
        difference=a.score - b.score,
        test=None,
        overlap=overlap,
        made_from="records",
        environment=environment(),
        groups=a.pairing.get("groups"),
        **by_layer,
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


def _of_layers(
    a: Floats, b: Floats, a_names: _Names, b_names: _Names, rows: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return the fields of a comparison that follow from the scores of a and b, [layers, reference's layers] each.

    Args:
        a, b: scores.
        a_names, b_names: names of their rows and columns.
        rows: tested difference of each layer, where there is a test.
    """
    scores = {}
    for side, grid, (layers, reference) in (("a", a, a_names), ("b", b, b_names)):
        i, j = np.unravel_index(int(np.argmax(grid)), grid.shape)
        scores[side] = {"score": float(grid[i, j]), "layer": layers[i], "reference_layer": reference[j]}
    if a_names != b_names:
        return {"scores": scores, "axes": None, "matrix": None, "layers": []}
    rows = rows or [{"difference": float(d)} for d in a.max(axis=1) - b.max(axis=1)]
    return {
        "scores": scores,
        "axes": dict(zip(("layers", "reference"), a_names, strict=True)),
        "matrix": (a - b).tolist(),
        "layers": [{"layer": name, **row} for name, row in zip(a_names[0], rows, strict=True)],
    }


def _false_discovery(p_values: list[float | None]) -> list[float | None]:
    known = [p for p in p_values if p is not None]
    adjusted = iter(benjamini_hochberg(known).tolist())
    return [None if p is None else float(next(adjusted)) for p in p_values]
