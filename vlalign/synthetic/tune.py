"""Search of learning rates and weight decays as in arXiv 2502.16282: TPE trials for each modality and U."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from vlalign.arithmetic import exact_float32
from vlalign.config import yaml_text
from vlalign.errors import VlalignError
from vlalign.files import check_space, write_whole
from vlalign.study.jobs import run_jobs
from vlalign.study.progress import StudyProgress
from vlalign.synthetic.cells import Cell, shape_of
from vlalign.synthetic.config import SyntheticConfig
from vlalign.synthetic.study import SyntheticStudy
from vlalign.synthetic.train import train_ensemble

LEARNING_RATES = (1e-3, 5e-3, 1e-2, 5e-2)
WEIGHT_DECAYS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
DEPTHS = (1, 2, 3, 4)  # of encoders and φ that are tuned on
OFFSETS = (0, -1)  # depth of the encoder minus that of φ

#: by modality ("modality 1", …) and U: learning_rate, weight_decay and the accuracy (validation) that they gave
Tuned = dict[str, dict[int, dict[str, float]]]


@exact_float32()
def tune(config: SyntheticConfig, out: str | Path, trials: int = 8, progress: bool = False) -> Tuned | None:
    """Search the settings of each modality and U, and write them as a file for ``SyntheticConfig.tuned``.

    The value of a trial is the mean best validation accuracy of encoders of depth ≤ 4, which for a modality with φ are
    as deep as φ or one layer less, of the first seed and width. Trials of all U run together, as ensembles.

    Args:
        config: of the grid that the settings are for.
        out: the file.
        trials: of each modality and U.
        progress: show a bar.

    Returns:
        What was written; None on all processes but the main one, which does it alone.

    Raises:
        VlalignError: optuna is not installed, no depth of the grid can be tuned on, or the file cannot be written.
    """
    try:
        import optuna
    except ImportError as error:
        raise VlalignError("tuning needs optuna: pip install 'vlalign[tune]'") from error

    if trials < 1:
        raise VlalignError(f"--trials is {trials}: give at least 1")
    out = Path(out)
    if out.is_dir():
        raise VlalignError(f"{out} is a folder: name a file with --out")
    check_space(out.parent)
    study = SyntheticStudy(config)
    cells = [tuning_cells(config, modality) for modality in range(config.modalities)]
    if not study.is_main_process:
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tuned: Tuned = {}
    steps = trials * sum(len(group) * config.epochs[min(group[0].modality, 1)] for group in cells)
    with StudyProgress.over(steps, "tuning", progress) as bar:
        for modality, group in enumerate(cells):
            searches = {
                u: optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seeds[0]))
                for u in config.uniqueness
            }
            for _ in range(trials):
                asked = {u: search.ask() for u, search in searches.items()}
                rates = [
                    (
                        trial.suggest_categorical("learning_rate", LEARNING_RATES),
                        trial.suggest_categorical("weight_decay", WEIGHT_DECAYS),
                    )
                    for trial in asked.values()
                ]
                values = _values(study, group, rates, bar.advance)
                for (u, trial), value in zip(asked.items(), values, strict=True):
                    searches[u].tell(trial, value)
            tuned[f"modality {modality + 1}"] = {
                u: {**search.best_params, "accuracy": round(search.best_value, 4)} for u, search in searches.items()
            }
            quoted = {name: {str(u): entry for u, entry in entries.items()} for name, entries in tuned.items()}
            write_whole(out, yaml_text(quoted))  # a finished modality is kept
    return tuned


def tuning_cells(config: SyntheticConfig, modality: int) -> list[Cell]:
    """Return the encoders that a modality is tuned on, in the order of their depth.

    Raises:
        VlalignError: the grid has none of them.
    """
    seed, width = config.seeds[0], config.hidden[0]
    phis = [phi for phi in config.phi_depths if phi in DEPTHS] if config.has_phi(modality) else [0]
    cells = [
        Cell(modality, depth, width, seed, phi)
        for depth in config.depths
        if depth in DEPTHS
        for phi in phis
        if not phi or depth - phi in OFFSETS
    ]
    if not cells:
        raise VlalignError(
            f"nothing to tune modality {modality + 1} on: depths and phi_depths must have values up to {DEPTHS[-1]}"
            " with the encoder as deep as φ or one layer less"
        )
    return cells


def _values(
    study: SyntheticStudy, cells: Sequence[Cell], rates: Sequence[tuple[float, float]], advance: Callable[[], object]
) -> list[float]:
    """Return the mean best validation accuracy over the cells, of each U with its learning rate and weight decay."""
    config, us = study.config, study.config.uniqueness
    accuracies: dict[Cell, torch.Tensor] = {}

    def work(cell: Cell, check: Callable[[], None]) -> None:
        def tick() -> None:
            check()
            advance()

        trained = train_ensemble(
            shape_of(config, cell),
            study.samples(cell.modality, [(u, cell.phi_depth) for u in us]),
            seeds=[cell.own_seed] * len(us),
            learning_rates=[rate for rate, _ in rates],
            weight_decays=[decay for _, decay in rates],
            epochs=config.epochs[min(cell.modality, 1)],
            batch=config.batch,
            clip=config.clip,
            tick=tick,
        )
        accuracies[cell] = trained.performance[:, 1]

    run_jobs(cells, work, study.device)
    mean: list[float] = torch.stack([accuracies[cell] for cell in cells]).mean(dim=0).tolist()
    return mean
