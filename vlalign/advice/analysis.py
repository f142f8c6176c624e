"""Effects of the contrastive term: paired differences in test scores, with intervals for new seeds and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.advice.arms import CONTROLS, PAIRS, Arm
from vlalign.advice.cells import Cell, Trained
from vlalign.advice.encoder import USES
from vlalign.decomposition.sample_groups import SampleGroups
from vlalign.metrics.base import Floats, Ints
from vlalign.stats.crossed import crossed_mean

if TYPE_CHECKING:
    import pandas as pd

#: columns that identify a row of the effects
KEYS = ("use", "control", "weight")


def score_table(results: Mapping[Cell, Trained], units: SampleGroups) -> Floats:
    """Return the test scores [S, A, 3, G] of every seed, arm, use and unit, folds joined in order.

    Args:
        results: of the cells.
        units: of the samples; see :func:`of_units`.
    """
    seeds = sorted({cell.seed for cell in results})
    rows = []
    for seed in seeds:
        cells = [results[cell] for cell in sorted(results) if cell.seed == seed]
        tested = np.concatenate([cell.test.numpy() for cell in cells])
        order = np.argsort(tested)
        rows.append(np.concatenate([cell.score.numpy() for cell in cells], axis=2)[:, :, order])
    return of_units(np.asarray(np.stack(rows), dtype=np.float64), units.of[tested[order]])


def of_units(scores: Floats, of: Ints) -> Floats:
    """Return scores [S, …, G] of units from those of samples [S, …, n], for intervals of their mean.

    Their mean over seeds and units is that over seeds and samples, which counts a group as often as it has samples;
    their spread over units is that which makes the standard error of this mean one of other groups (linearisation of a
    ratio; Cochran 1977, "Sampling Techniques", section 9A).

    Args:
        scores: of samples.
        of: unit of each sample [n].

    >>> import numpy as np
    >>> of_units(np.array([[1.0, 1, 1, 0]]), np.array([0, 0, 0, 1])).tolist()
    [[1.125, 0.375]]
    """
    of = np.unique(of, return_inverse=True)[1].reshape(-1)
    sizes, n = np.bincount(of), len(of)
    sums = np.add.reduceat(scores[..., np.argsort(of, kind="stable")], np.cumsum(sizes) - sizes, axis=-1)
    if len(sizes) == n:
        return sums
    mean = scores.mean(axis=(0, -1), keepdims=True)
    return np.asarray(mean + (sums - sizes * mean) * len(sizes) / n)


def effect_table(scores: Floats, valid: Floats, arms: Sequence[Arm]) -> pd.DataFrame:
    """Return one row for each use, control and weight.

    Args:
        scores: test scores [S, A, 3, G] of samples or groups.
        valid: mean validation scores [A, 3].
        arms: A, that without the term first.

    Returns:
        ``use``, ``control``, ``weight``; ``valid`` and ``score``, the means; ``effect``, the difference of the score to
        that at weight 0, with ``low`` and ``high`` for all weights and uses of a control at once, and ``detectable``;
        ``pairing``, the difference of true pairs to this control at the same weight, with ``pairing_low`` and
        ``pairing_high``. Missing at weight 0.
    """
    import pandas as pd

    together = len(USES) * sum(arm.weight > 0 and arm.control == PAIRS for arm in arms)
    at = {(arm.control, arm.weight): i for i, arm in enumerate(arms)}
    rows: list[dict[str, Any]] = []
    for use, name in enumerate(USES):
        for i, arm in enumerate(arms):
            row: dict[str, Any] = {
                "use": name, "control": arm.control, "weight": arm.weight,
                "valid": float(valid[i, use]), "score": float(scores[:, i, use].mean()),
            }  # fmt: skip
            if arm.weight > 0:
                effect = crossed_mean(scores[:, i, use] - scores[:, 0, use], together)
                row |= {"effect": effect.mean, "low": effect.low, "high": effect.high, "detectable": effect.detectable}
            if arm.control != PAIRS:
                true = scores[:, at[PAIRS, arm.weight], use]
                pairing = crossed_mean(true - scores[:, i, use], together)
                row |= {"pairing": pairing.mean, "pairing_low": pairing.low, "pairing_high": pairing.high}
            rows.append(row)
    columns = [*KEYS, "valid", "score", "effect", "low", "high", "detectable"]
    return pd.DataFrame(rows, columns=[*columns, "pairing", "pairing_low", "pairing_high"])


def match_table(results: Mapping[Cell, Trained], arms: Sequence[Arm]) -> pd.DataFrame:
    """Return retrieval and alignment of the test embeddings, means over seeds and folds, a row for each arm.

    ``recall1`` and ``recall5`` with their chance; ``alignment``, the mutual-kNN, with ``chance`` (its exact mean over
    random pairings), ``calibrated`` = (alignment − chance) / (1 − chance), and ``z``, its mean distance from chance in
    standard deviations of one fold.
    """
    import pandas as pd

    recall = np.mean([cell.recall.numpy() for cell in results.values()], axis=0)
    levels = np.mean([cell.chance.numpy() for cell in results.values()], axis=0)
    values = np.stack([cell.alignment.numpy() for cell in results.values()])
    score, chance, sd = (values[:, :, i] for i in range(3))
    calibrated = ((score - chance) / np.maximum(1 - chance, 1e-9)).mean(0)
    z = ((score - chance) / np.maximum(sd, 1e-9)).mean(0)
    rows = [
        {
            "control": arm.control, "weight": arm.weight, "recall1": recall[i, 0], "recall1_chance": levels[0],
            "recall5": recall[i, 1], "recall5_chance": levels[1], "alignment": score[:, i].mean(),
            "chance": chance[:, i].mean(), "calibrated": calibrated[i], "z": z[i],
        }
        for i, arm in enumerate(arms)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def of_control(table: pd.DataFrame, use: str | None = None, control: str = PAIRS) -> pd.DataFrame:
    """Return the rows of a control, those of weight 0 first, of one use if the table has several."""
    assert control in CONTROLS
    rows = table if use is None else table[table["use"] == use]
    return rows[(rows["control"] == control) | (rows["weight"] == 0)]
