"""Linear probes of every layer: how well labels can be read from the features of a model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vlalign.arithmetic import exact_float32
from vlalign.config import keywords, plain, select
from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints
from vlalign.probing.features import ProbedFeatures, by_model, features_of
from vlalign.probing.folds import Fold, check_folds, given_fold, hashed_folds
from vlalign.probing.linear import logistic, outputs_of, principal_axes, ridge
from vlalign.probing.options import SCORES, ProbeKeywords, ProbeOptions
from vlalign.probing.result import ProbeResult, ProbeResults
from vlalign.probing.scores import chance_level, evaluate, one_score, per_class, resamples
from vlalign.probing.targets import Targets, make_targets
from vlalign.row_ids import by_row, group_names, without_ids
from vlalign.scoring.layers import find_device
from vlalign.stats.checks import repeats_warning
from vlalign.stats.null import generator
from vlalign.store.checksums import canonical, encode, sha256_bytes
from vlalign.store.probes import read_probe, write_probe
from vlalign.version import __version__

if TYPE_CHECKING:
    from vlalign.store import FeatureStore, Run

log = logging.getLogger(__name__)

_FORMAT = 2
_GROUPS = "give the group of each sample (groups=, --groups)"  # remedy for repeats


@keywords(ProbeKeywords)
def probe(features: Any, labels: Any, options: ProbeKeywords) -> ProbeResult:
    """Train linear probes on every layer, choose layer and regularisation on validation samples, and test them.

    Classes and labels are predicted by logistic regression (labels with ``pos_weight``, so that rare ones count as much
    as frequent ones), numbers by ridge regression; features are standardised by the training samples. The test score of
    the best layer is of the layer that validation chose in each fold. The result of a run is not stored;
    :func:`vlalign.probing.probe_runs` stores it.

    Args:
        features: a run, or features as :func:`vlalign.arrays.as_layers` reads them: [N, D], [N, L, D], a list of
            layers or a mapping from names to layers.
        labels: of each sample, by row or as a mapping from ids: a class, a list of labels, a row of 0 and 1, or a
            number.
        options: of the probes.

    Raises:
        VlalignError: labels that do not fit the samples or the task, too few samples of a class, or values that are
            not finite.

    >>> import torch
    >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> result = probe({"noise": x[:, :2], "signal": x[:, 2:]}, (x[:, 3] > 0).tolist(), folds=3)
    >>> result.best_layer, result.value > 0.9
    ('signal', True)
    """
    return _planned(features_of(features, options.ids), labels, options).compute()


def probe_runs(
    runs: FeatureStore | Iterable[Run] | Mapping[str, Any],
    labels: Any,
    options: ProbeKeywords = ProbeKeywords(),
    *,
    force: bool = False,
) -> ProbeResults:
    """Probe runs as :func:`vlalign.probe` does; each result is stored beside its run, and read again from there.

    Runs of one model on the splits train, validation and test of a data set are taken together: probes are trained on
    the first, chosen on the second and tested on the third, whose run they belong to.

    Args:
        runs: a store, runs, or features by the name of their model, which are not stored.
        labels: as for :func:`vlalign.probe`; labels by id are needed for runs of several splits.
        options: of the probes.
        force: compute what is stored again.

    Raises:
        VlalignError: as :func:`vlalign.probe`, for any of the runs, before the first one is probed.
    """
    return ProbeResults(run_probes(plan_probes(runs, labels, options), force=force))


class Planned:
    """Probes to train: checked features, targets and folds of one model."""

    def __init__(
        self, features: ProbedFeatures, targets: Targets, folds: list[Fold], groups: Ints | None, options: ProbeKeywords
    ) -> None:
        self.features, self.targets, self.folds, self.groups = features, targets, folds, groups
        self.options = options
        self.score = options.score or SCORES[targets.task][0]

    @property
    def key(self) -> dict[str, Any]:
        """Everything that the result depends on."""
        content = [self.targets.sha256, *(rows.tolist() for fold in self.folds for rows in vars(fold).values())]
        content.append(None if self.groups is None else self.groups.tolist())
        kept = plain(select(self.options, ProbeOptions, score=self.score, task=self.targets.task, device=None))
        return {
            "format": _FORMAT, "vlalign": __version__, "features": self.features.content, "labels": self.options.name,
            "samples": sha256_bytes(encode(canonical(content))), "options": kept,
        }  # fmt: skip

    def stored(self) -> ProbeResult | None:
        """Return the result stored beside the run, if it is of the same key."""
        run = self.features.run
        content = None if run is None else read_probe(run.path, self.options.name, self.score, self.key)
        return None if content is None else ProbeResult.from_dict(content)

    def store(self, result: ProbeResult) -> None:
        """Write the result beside the run."""
        if (run := self.features.run) is not None:
            write_probe(run.path, self.options.name, self.score, self.key, result.as_dict(), result.performance)

    @exact_float32()
    def compute(self) -> ProbeResult:
        """Train the probes of all layers, one layer after the other."""
        start = perf_counter()
        device = find_device(self.options.device)
        targets, folds, count = self.targets, self.folds, len(self.features.axis)
        tested = np.concatenate([fold.test for fold in folds])
        of_fold = np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds])
        outputs = np.empty((count, len(tested), targets.values.shape[1]))
        valid, chosen = np.empty((count, len(folds))), np.empty((count, len(folds)), dtype=np.int64)
        for i in range(count):
            x = self.features.load(i, device)
            for f, fold in enumerate(folds):
                outputs[i, of_fold == f], valid[i, f], chosen[i, f] = self.fit(x, fold)
        best = np.nan_to_num(valid, nan=-np.inf).argmax(axis=0)  # [folds]
        picked = outputs[best[of_fold], np.arange(len(tested))]
        return self._result(tested, outputs, valid, chosen, best, picked, perf_counter() - start)

    def fit(self, x: Tensor, fold: Fold) -> tuple[Floats, float, int]:
        """Return outputs on the test samples [n, C], the score on validation, and the number of the chosen penalty."""
        targets, strengths = self.targets, self.options.strengths
        y = torch.from_numpy(targets.values).to(x.device)
        train, valid, test = (torch.from_numpy(rows).to(x.device) for rows in (fold.train, fold.valid, fold.test))
        axes = principal_axes(x[train])
        if targets.task == "regression":
            model = ridge(axes, y[train], strengths)
        else:
            model = logistic(axes, y[train], strengths, joint=targets.task == "classes")
        held = outputs_of(model, axes.coordinates(x[valid])).double().cpu().numpy()
        once = np.ones((1, len(fold.valid)))
        values = [float(one_score(self.score, targets.task, one, targets.values[fold.valid], once)[0]) for one in held]
        best = int(np.argmax(np.nan_to_num(values, nan=-np.inf)))
        chosen = (model[0][best : best + 1], model[1][best : best + 1])
        outputs = outputs_of(chosen, axes.coordinates(x[test]))[0].double().cpu().numpy()
        return outputs, values[best], best

    def _result(
        self, tested: Ints, outputs: Floats, valid: Floats, chosen: Ints, best: Ints, picked: Floats, seconds: float
    ) -> ProbeResult:
        """Score the test samples: of every layer, and of the layer that validation chose in each fold."""
        targets, options, task = self.targets, self.options, self.targets.task
        values = targets.values[tested]
        groups = None if self.groups is None else self.groups[tested]
        weights = resamples(len(tested), groups, options.bootstraps, generator("probe interval", options.seed))
        once = np.ones((1, len(tested)))
        layers = []
        for i, entry in enumerate(self.features.axis):
            score = float(one_score(self.score, task, outputs[i], values, once)[0])
            low, high = _interval(one_score(self.score, task, outputs[i], values, weights))
            strengths = [options.strengths[one] for one in chosen[i]]
            layers.append({
                **entry, "valid": float(np.nan_to_num(valid[i]).mean()), "test": score, "low": low, "high": high,
                "strengths": strengths,
            })  # fmt: skip
        observed, drawn = evaluate(task, picked, values), evaluate(task, picked, values, weights)
        scores = {}
        for name in observed:
            low, high = _interval(drawn[name])
            chance = chance_level(name, task, values.mean(axis=0))
            scores[name] = {"value": float(observed[name][0]), "low": low, "high": high, "chance": chance}
        classes = _per_class(targets, picked, values, weights)
        parts = {part: [len(getattr(fold, part)) for fold in self.folds] for part in ("train", "valid", "test")}
        return ProbeResult(
            model=self.features.title, modality=self.features.modality, run=self._run(), labels=options.name, task=task,
            score=self.score, n=self.features.n, tested=len(tested), parts=parts,
            split="hash of ids" if not self._is_given() else "given", layers=layers, best=[int(one) for one in best],
            scores=scores, classes=classes, options=plain(select(options, ProbeOptions, device=None)),
            environment=environment(), seconds=round(seconds, 3),
        )  # fmt: skip

    def _is_given(self) -> bool:
        return self.options.split is not None or self.features.split is not None

    def _run(self) -> dict[str, Any] | None:
        run = self.features.run
        return None if run is None else {"hash": run.key.hash, "key": run.key.data}


def plan_probes(
    runs: FeatureStore | Iterable[Run] | Mapping[str, Any], labels: Any, options: ProbeKeywords = ProbeKeywords()
) -> list[Planned]:
    """Check features and labels of all models, before any probe is trained; arguments as for :func:`probe_runs`."""
    if isinstance(runs, Mapping):
        from vlalign.scoring.inputs import Arrays

        models = [features_of(Arrays(one, str(name), options.ids, str(name))) for name, one in runs.items()]
    else:
        models = by_model(list(runs.runs() if hasattr(runs, "runs") else runs))
    return plan_models(models, labels, options)


def plan_models(models: Sequence[ProbedFeatures], labels: Any, options: ProbeKeywords) -> list[Planned]:
    """Check labels and samples of all models; ``labels`` and ``options`` as for :func:`probe_runs`.

    Raises:
        VlalignError: no model, or as :func:`vlalign.probe`.
    """
    if not models:
        raise VlalignError("there is no run to probe: extract features first")
    return [_planned(one, labels, options) for one in models]


def run_probes(planned: Sequence[Planned], *, force: bool = False, progress: bool = False) -> Iterator[ProbeResult]:
    """Yield the result of each model: the stored one, or a new one, which is then stored.

    Args:
        planned: models, in order.
        force: compute all of them.
        progress: show a bar on standard error.
    """
    from tqdm import tqdm

    for one in tqdm(planned, desc="probing", unit=" models", disable=not progress, leave=False, dynamic_ncols=True):
        result = None if force else one.stored()
        if result is None:
            result = one.compute()
            one.store(result)
        else:
            one.features.check()
        yield result


def _planned(features: ProbedFeatures, labels: Any, options: ProbeKeywords) -> Planned:
    ids, n = features.names, features.n
    if features.split is not None and not isinstance(labels, Mapping):
        raise VlalignError(f"{features.title} has runs of several splits: give labels by id")
    names = [str(name) for name in without_ids(labels).columns] if hasattr(labels, "columns") else []
    targets = make_targets(by_row(labels, ids, n, "labels"), options.task, names)
    if options.score and options.score not in SCORES[targets.task]:
        known = ", ".join(SCORES[targets.task])
        raise VlalignError(f"score: {options.score} is no score of {targets.task}: choose {known}")
    grouped = None if options.groups is None else group_names(options.groups, ids, n)
    split = features.split if options.split is None else by_row(options.split, ids, n, "split")
    if split is None:
        units = grouped or features.ids or [str(i) for i in range(n)]
        folds = hashed_folds(units, options.folds, options.seed)
    else:
        folds = given_fold(split, grouped)
    check_folds(folds, targets)
    if grouped is None and (line := repeats_warning(features.load(len(features.axis) - 1), features.title, _GROUPS)):
        log.warning(line)
    numbers = None if grouped is None else np.unique(grouped, return_inverse=True)[1].astype(np.int64)
    return Planned(features, targets, folds, numbers, options)


def _interval(values: Floats) -> tuple[float | None, float | None]:
    known = values[~np.isnan(values)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def _per_class(targets: Targets, outputs: Floats, values: Any, weights: Floats) -> list[dict[str, Any]]:
    """Return the scores of each class, label or number with their intervals."""
    observed = per_class(targets.task, outputs, values, np.ones((1, len(outputs))))
    drawn = per_class(targets.task, outputs, values, weights)
    rows = []
    for c, name in enumerate(targets.names):
        row: dict[str, Any] = {"class": name}
        if targets.task != "regression":
            row |= {"samples": int(targets.values[:, c].sum()), "share": float(values[:, c].mean())}
        for score, value in observed.items():
            low, high = _interval(drawn[score][:, c])
            row |= {score: float(value[0, c]), f"{score}_low": low, f"{score}_high": high}
        rows.append(row)
    return rows
