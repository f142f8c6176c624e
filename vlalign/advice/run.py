"""Advice on arrays or on a study's folder: checks, a pilot that chooses depth and size, the study, the result."""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vlalign.advice.config import AdviceConfig, ExperimentOptions
from vlalign.arithmetic import exact_float32
from vlalign.errors import VlalignError, did_you_mean
from vlalign.study.config import CONFIG, check_folder

if TYPE_CHECKING:
    from vlalign.advice.data import PairedData
    from vlalign.advice.results import AdviceResult
    from vlalign.advice.study import AdviceStudy

log = logging.getLogger(__name__)


@exact_float32()
def prepare_study(data: PairedData, config: AdviceConfig, budget: str | None = None) -> AdviceStudy:
    """Check data and folder, choose what the settings leave open, and return the study.

    A study that was begun keeps what was chosen then.

    Args:
        data: of the study; written into its folder.
        config: its settings.
        budget: time for training that steps, seeds, folds and weights are fitted to, such as "10m".

    Raises:
        VlalignError: the data do not allow the experiment, the folder holds another study, or the budget is too small.
    """
    from vlalign.advice.data import check_folds
    from vlalign.advice.pilot import FITTED, choose_depth, fit_budget, seconds_of
    from vlalign.advice.study import AdviceStudy
    from vlalign.files import check_space
    from vlalign.study.config import write_config

    if budget:
        seconds_of(budget)  # checked, also where the study was begun and keeps its size
    check_folds(data, config.folds)
    out = Path(config.out)
    check_space(out)
    if (out / CONFIG).exists():
        begun = AdviceConfig.make(AdviceConfig.read(out / CONFIG))
        chosen = (*(["depth"] if config.depth is None else []), *(FITTED if budget else []))
        config = replace(config, **{name: getattr(begun, name) for name in chosen})
        check_folder(config, data.fingerprint)
        if budget:
            kept = ", ".join(f"{name} {json.dumps(getattr(config, name))}" for name in FITTED)
            log.info("%s was begun before and keeps its size, whatever the budget: %s", out, kept)
    else:
        check_folder(config, data.fingerprint)
        if config.depth is None:
            config = replace(config, depth=choose_depth(config, data))
        if budget:
            config = fit_budget(config, data, budget)
        data.save(out)
        write_config(config, data.fingerprint)
    return AdviceStudy(config)


def advise(
    x1: Any,
    x2: Any,
    y: Any,
    *,
    unlabelled: Any = None,
    split: Any = None,
    groups: Any = None,
    names: tuple[str, str] | None = None,
    out: str | Path | None = None,
    budget: str | None = None,
    progress: bool = False,
    **settings: Any,
) -> AdviceResult:
    """Find out whether a contrastive term between two modalities helps, does nothing or harms on this data.

    Small encoders are trained with a weighted contrastive term, at every weight on the same samples, batches and steps,
    and with two controls: pairs shuffled, and pairs shuffled within their class. Every labelled sample is tested on
    once a seed.

    Args:
        x1: features [N, D1] of the first modality: an array, tensor or DataFrame, or a run of a store, of which the
            last layer is used.
        x2: features [N, D2] of the second, rows paired; runs and frames with an index are paired by id.
        y: labels [N], in the order of the first modality or by id (a mapping, or a series with an index): texts or
            whole numbers are classes, fractions a regression target.
        unlabelled: two arrays [M, D1] and [M, D2], or two runs, of pairs without a label.
        split: [N] of "train", "valid" and "test"; default: folds.
        groups: [N], group of each sample, such as the image of a caption, by row or by id: folds and intervals keep
            groups whole.
        names: of the modalities (default: the models of runs, else first and second).
        out: folder for tables and report, which resumes what was begun there; None keeps nothing.
        budget: time for training, such as "10m", that steps, seeds, folds and weights are fitted to.
        progress: show a bar with the time left.
        **settings: of :class:`vlalign.advice.config.ExperimentOptions`, such as ``weights`` or ``seeds``.

    Returns:
        The verdicts for both modalities, the first alone and the second alone at test time, and their evidence.

    Raises:
        VlalignError: data or settings that do not allow the experiment; one line that names what.
    """
    from vlalign.advice.data import make_data

    known = [*inspect.signature(advise).parameters, *inspect.signature(ExperimentOptions).parameters]
    for name in settings:
        if name not in known:
            raise TypeError(f"advise() got an unexpected keyword argument {name!r}{did_you_mean(name, known)}")
    data = make_data(x1, x2, y, unlabelled, split, names or _names(x1, x2), groups=groups)
    if out is not None:
        return _run(data, AdviceConfig(out=str(out), **settings), budget, progress, report=True)
    with TemporaryDirectory(prefix="vlalign-") as folder:
        return _run(data, AdviceConfig(out=folder, **settings), budget, progress, report=False)


def _names(x1: Any, x2: Any) -> tuple[str, str]:
    from vlalign.scoring.inputs import is_run  # slow: PyTorch

    first, second = (x.key.title if is_run(x) else name for x, name in ((x1, "first"), (x2, "second")))
    return (first, second) if first != second else (f"first {first}", f"second {second}")


def _run(data: PairedData, config: AdviceConfig, budget: str | None, progress: bool, report: bool) -> AdviceResult:
    result = prepare_study(data, config, budget).run(progress=progress, report=report)
    if result is None:
        raise VlalignError("advise() gives its result on the main process only: start one process")
    return result
