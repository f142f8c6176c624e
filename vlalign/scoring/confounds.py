"""Confounds of a score: trivial features, categories and near-duplicates that may explain its shared neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlalign.display.format import DASH, interval, number, plural
from vlalign.scoring.categories import Categories
from vlalign.scoring.summary import value_or_dash
from vlalign.stats.explained import strata
from vlalign.store import FeatureStore, is_baseline

if TYPE_CHECKING:
    from vlalign.scoring.inputs import Side
    from vlalign.scoring.record import ScoreRecord
    from vlalign.store import Run

#: baselines of the store (`vlalign baselines`) that are checked, by the names of their models
FEATURES = ("caption length", "mean colour")
DUPLICATES = "near-duplicates"
COLUMNS = ("explained by", "groups", "score", "share explained", "95% interval")
MEANING = (
    "score: mean when each sample is paired with another one of its group, of near-duplicates the score without them; "
    "share explained: what that is of the score above chance. Shares overlap and do not add up."
)


def feature_runs(x: Side, y: Side) -> list[Run]:
    """Return the runs of trivial features that the stores of both sides hold of the same samples, sorted by name."""
    runs: dict[str, Run] = {}
    for root in {side.run.path.parent.parent for side in (x, y) if side.run is not None and side.run.path.is_dir()}:
        for run in FeatureStore(root).runs():
            if run.key.title in FEATURES and _is_of_samples(run, (x, y)):
                runs.setdefault(run.key.title, run)
    return [run for _, run in sorted(runs.items())]


def stored_features(x: Side, y: Side, ids: Sequence[str] | None) -> list[Categories]:
    """Return strata of the trivial features that the stores of both runs hold of the same samples.

    Args:
        x: one side.
        y: the other side.
        ids: of the samples, in the order in which they are scored.

    Raises:
        VlalignError: a feature in the store is damaged.
    """
    categories = []
    for run in feature_runs(x, y):
        row = {one: i for i, one in enumerate(run.ids)}
        values = run.load(0).double().numpy()[[row[one] for one in ids or run.ids]]
        categories.append(Categories(run.key.title, f"run {run.key.short}", strata(values), cut=True))
    return categories


def _is_of_samples(run: Run, sides: tuple[Side, Side]) -> bool:
    """Return whether a run of trivial features is of the samples, and of the very captions or images, of both sides."""
    if not is_baseline(run.key.data) or any(set(run.ids) != set(side.ids or ()) for side in sides):
        return False
    same = [side.run for side in sides if side.run is not None and side.modality == run.key.modality]
    return all(_content(other) in (None, _content(run)) for other in same)


def _content(run: Run) -> Any:
    """Return what identifies the captions or images of a run; None where its key does not state it."""
    content = (run.key.data.get("data") or {}).get("content")
    return content and (content, run.key.data.get("perturbations") or [])


def parts_of(record: ScoreRecord) -> list[dict[str, Any]]:
    """Return parts of a score above chance: those of the columns of categories, then those of a full report.

    Each has the name of what explains it, the groups in which samples are alike, in words, the score of pairs that are
    alike in it alone, the share explained, and the interval of the share from low to high. What is not known is None.
    """
    entries = [*((record.null or {}).get("within") or []), *(record.checks.get("confounds") or [])]
    return [{"name": one["name"], "groups": _groups(one), **one["explained"]} for one in entries]


def _groups(entry: Mapping[str, Any]) -> str:
    if entry.get("samples") is not None:
        return f"{plural(entry['samples'], 'sample')} left out"
    return f"{value_or_dash(entry.get('categories'), '{:,}')} {'strata' if entry.get('cut') else 'categories'}"


def rows_of(record: ScoreRecord) -> list[list[str]]:
    """Return the parts of a score as texts in the order of ``COLUMNS``; no rows where nothing was checked."""
    texts = []
    for part in parts_of(record):
        low, share, high = (
            None if part[name] is None else 100 * min(1.0, max(0.0, part[name])) for name in ("low", "share", "high")
        )
        ends = DASH if low is None else f"{interval(low, high, 0)} %"
        texts.append(
            [part["name"], part["groups"], number(part["score"]), DASH if share is None else f"{share:.0f} %", ends]
        )
    return texts


def hints(record: ScoreRecord) -> list[str]:
    """Return what the rows mean, and what could also be checked."""
    checked = {part["name"] for part in parts_of(record)}
    lines = [MEANING]
    missing = [name for name in FEATURES if name not in checked]
    if missing and "confounds" in record.checks:
        lines.append(f"not checked: {' and '.join(missing)}; for runs of a store, `vlalign baselines` makes them")
    return lines
