"""A comparison in words and as tables: its facts by name, the verdict, and one row for each reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vlalign.display import visible
from vlalign.display.format import DASH, interval, number, p_equation, p_text, signed
from vlalign.display.result import Texts
from vlalign.metrics.base import metric_text
from vlalign.scoring.naming import precision_of
from vlalign.scoring.summary import paired_by
from vlalign.store.importing import KIND

if TYPE_CHECKING:
    import pandas as pd

    from vlalign.scoring.compare import Comparison

ALPHA = 0.05
_USUAL_POOLS = ("mean", "cls", "avg")


def verdict(comparison: Comparison) -> str:
    """Return in one sentence what the comparison shows."""
    a, b, reference = name_of(comparison.a), name_of(comparison.b), name_of(comparison.reference)
    ahead, behind = (a, b) if comparison.difference > 0 else (b, a)
    if comparison.test is not None:
        name = "q" if "q_value" in comparison.test else "p"
        value = comparison.test[f"{name}_value"]
        if value is not None and value < ALPHA:
            surely = f"{p_equation(p_text(value), name)}, same samples"
            return f"{ahead} is more aligned with {reference} than {behind} ({surely})"
        return f"{a} and {b} are indistinguishable by their alignment with {reference}"
    if comparison.overlap is None:
        return "without intervals the difference cannot be assessed: give --store for a paired test"
    if comparison.overlap:
        return "the intervals overlap, which leaves the difference open: give --store for a paired test"
    return f"{ahead} is more aligned with {reference} than {behind}: its interval lies entirely above"


def name_of(side: dict[str, Any]) -> str:
    """Return the model; of a run with digits of its key, and its precision and pool where these are not the usual."""
    if not side["run"]:
        return visible(side["model"])
    facts = [precision_of(side), str(side["run"]["key"].get("pooling") or "")]
    shown = ", ".join(fact for fact in facts if fact not in ("", "float32", KIND, *_USUAL_POOLS))
    return visible(f"{side['model']}@{side['run']['hash'][:8]}{f' ({shown})' if shown else ''}")


def comparison_facts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what was compared, the test, and the verdict, by name; an empty name continues the fact above it."""
    rows: list[tuple[str, str]] = []
    for name, side in (("a", comparison.a), ("b", comparison.b)):
        rows += [(name, name_of(side)), ("", score_text(comparison, name))]
    if test := comparison.test:
        for name, one in (("a − b", test["largest"]), ("on halves", test["crossed"])):
            difference, spread = with_interval(one)
            rows.append((name, f"{difference}  {spread}, p {p_text(one.get('p_value'))}"))
        halves = f"layers selected on one half of the samples, scored on the other (N = {test['half']})"
        rows.append(("", f"on halves: {halves}"))
        opposite = test["largest"]["difference"] * test["crossed"]["difference"] < 0
        how = "the two point in opposite directions" if opposite else "the larger of the two"
        halves = f"{test['half_samples']} half-samples, the same for a and b"
        rows.append(("p-value", f"{p_text(test.get('p_value'))}  ({how}; {halves})"))
    else:
        rows.append(("a − b", signed(comparison.difference, 4)))
    return [*rows, ("measured", measured(comparison)), ("so", verdict(comparison))]


def measured(comparison: Comparison) -> str:
    """Return metric, numbers of samples and groups, pairing, preset, and whether features or records were compared."""
    metric = metric_text(comparison.metric["name"], comparison.metric["params"])
    grouped = f" in {comparison.groups.get('groups')} groups" if comparison.groups else ""
    paired = paired_by((comparison.pairing or {}).values())
    parts = [metric, f"N = {comparison.n}{grouped}", paired, f"preset {comparison.preset}"]
    return ", ".join([*filter(None, parts), f"from {comparison.made_from}"])


def score_text(comparison: Comparison, name: str) -> str:
    """Return the score of ``a`` or ``b`` with its layers, and its interval where it has one."""
    score = comparison.scores[name]
    spread = f"  interval {interval(score['low'], score['high'])}" if "low" in score else ""
    return f"{number(score['score'])} at {visible(score['layer'])} × {visible(score['reference_layer'])}{spread}"


def with_interval(row: dict[str, Any] | None) -> tuple[str, str]:
    """Return a difference and its interval."""
    return (DASH, DASH) if row is None else (signed(row["difference"], 4), interval_of(row))


def interval_of(row: dict[str, Any]) -> str:
    """Return the interval of a difference, or a dash."""
    return interval(row.get("low"), row.get("high"), between=" to ")


def p_and_q(row: dict[str, Any]) -> list[str]:
    """Return p- and q-value, each or a dash."""
    return [p_text(row.get(name)) for name in ("p_value", "q_value")]


def texts(comparisons: Sequence[Comparison]) -> Texts:
    """Return a table with one row for each reference."""
    columns = ["reference", "a", "b", "a − b", "95% interval", "on halves", "its interval", "p", "q"]
    rows = []
    for one in comparisons:
        test = one.test or {"largest": {"difference": one.difference}}
        differences = [text for name in ("largest", "crossed") for text in with_interval(test.get(name))]
        scores = [number(one.scores[side]["score"]) for side in "ab"]
        rows.append([name_of(one.reference), *scores, *differences, *p_and_q(test)])
    return Texts(columns, rows)


def frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return one row for each comparison with its numbers; those that it lacks are None."""
    import pandas as pd

    rows = []
    for one in comparisons:
        test = one.test or {}
        row: dict[str, Any] = {
            "a": one.a["model"], "b": one.b["model"], "reference": one.reference["model"],
            "metric": metric_text(one.metric["name"], one.metric["params"]), "preset": one.preset,
            "score_a": one.scores["a"]["score"], "score_b": one.scores["b"]["score"], "difference": one.difference,
        }  # fmt: skip
        for name, part in (("", test.get("largest")), ("halves_", test.get("crossed"))):
            row |= {f"{name}{key}": (part or {}).get(key) for key in ("low", "high")}
            row |= {"halves_difference": (part or {}).get("difference")} if name else {}
        row |= {key: test.get(key) for key in ("p_value", "q_value")}
        row |= {f"layer_{side}": one.scores[side]["layer"] for side in "ab"}
        rows.append(row | {"n": one.n, "made_from": one.made_from, "verdict": verdict(one)})
    return pd.DataFrame(rows, dtype=object)
