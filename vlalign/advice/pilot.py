"""Pilot before an experiment: the depth of the encoders, and a size that fits a budget of time."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import torch

from vlalign.advice.arms import Arm, all_arms
from vlalign.advice.cells import Cell
from vlalign.advice.config import LEAST_SEEDS, AdviceConfig
from vlalign.advice.data import PairedData
from vlalign.advice.train import train_cells
from vlalign.display.format import duration
from vlalign.errors import VlalignError
from vlalign.metrics.engine.threads import one_thread
from vlalign.processes import start_processes

_DEPTHS = (1, 2)
_UNITS = {"s": 1, "m": 60, "h": 3600}
_SHARE = 0.8  # of the budget that training may take
_MEASURED = 6  # steps
_LEAST_STEPS, _MOST_SEEDS = 100, 10
_FEW_WEIGHTS = (0.0, 0.25, 1.0, 4.0)
#: settings that a budget changes
FITTED = ("steps", "seeds", "folds", "weights")


def choose_depth(config: AdviceConfig, data: PairedData) -> int:
    """Return the depth whose encoders, trained without the term, are better on validation; the smaller one if equal.

    One seed decides, on all of its folds. Arms with the term are not compared: every sample that validates is tested in
    another fold, so a choice by their scores would bias the effects. Nor would it favour two layers, which the term
    helps more: on the synthetic task (U = 0, 300 labels, means of three draws, weights 0, 1 and 4) one layer has the
    better scores at each weight.
    """
    device = start_processes(config.cpu).device
    cells = [Cell(config.seeds[0], fold) for fold in range(1 if len(data.split) else config.folds)]
    scores = {}
    for depth in _DEPTHS:
        results = train_cells(config, data, cells, [Arm(0.0)], depth, device)
        scores[depth] = sum(float(result.valid.mean()) for result in results)
    return max(_DEPTHS, key=lambda depth: (scores[depth], -depth))


def seconds_of(budget: str) -> float:
    """Return the seconds of a text such as 90s, 10m or 1.5h.

    Raises:
        VlalignError: for any other text.

    >>> seconds_of("10m")
    600.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", budget.strip())
    if not match:
        raise VlalignError(f"budget: expected a number with s, m or h, such as 10m, got {budget!r}")
    return float(match[1]) * _UNITS[match[2]]


def fit_budget(config: AdviceConfig, data: PairedData, budget: str) -> AdviceConfig:
    """Return the settings fitted to a budget, from the measured time of a few steps.

    With time left there are more seeds, up to 10. Without, fewer steps (down to 100), then fewer weights, then 3 folds.

    Raises:
        VlalignError: it is too small for five seeds.
    """
    available = _SHARE * seconds_of(budget)
    state = start_processes(config.cpu)
    cores = torch.get_num_threads() if state.device.type == "cpu" else 1
    pace = _pace(config, data, state.device) / (cores * state.num_processes)

    def seconds(chosen: AdviceConfig) -> float:
        arms = len(all_arms(chosen.weights)) / len(all_arms(config.weights))
        folds = 1 if len(data.split) else chosen.folds
        return pace * arms * chosen.steps * folds * len(chosen.seeds)

    def with_seeds(count: int) -> AdviceConfig:
        more = (seed for seed in range(2 * _MOST_SEEDS) if seed not in config.seeds)
        return replace(config, seeds=(*config.seeds, *more)[:count])

    for count in range(_MOST_SEEDS, len(config.seeds), -1):
        if seconds(with_seeds(count)) <= available:
            return with_seeds(count)
    if seconds(config) <= available:
        return config
    few = tuple(weight for weight in config.weights if weight in _FEW_WEIGHTS)
    fewer = replace(config, seeds=config.seeds[:LEAST_SEEDS])
    smaller = [fewer, replace(fewer, weights=few) if len(few) > 1 else fewer]
    smaller.append(replace(smaller[-1], folds=3))
    for chosen in smaller:
        steps = int(chosen.steps * available / seconds(chosen))
        if steps >= min(_LEAST_STEPS, config.steps):
            return replace(chosen, steps=min(steps, config.steps))
    need = seconds(replace(smaller[-1], steps=min(_LEAST_STEPS, config.steps))) / _SHARE
    raise VlalignError(
        f"budget: {budget} is too small: five seeds need about {duration(need)} here; give that much or fewer --weights"
    )


def _pace(config: AdviceConfig, data: PairedData, device: torch.device) -> float:
    """Return measured seconds of a step of one cell with all arms on one thread."""
    times = []
    with one_thread():
        for steps in (1, 1, 1 + _MEASURED):  # the first time, libraries start
            start = time.perf_counter()
            short = replace(config, steps=steps)
            train_cells(short, data, [Cell(config.seeds[0], 0)], all_arms(config.weights), config.depth or 1, device)
            times.append(time.perf_counter() - start)
    _, shorter, longer = times
    return max(longer - shorter, longer / 20) / _MEASURED  # a pause in the shorter one must not make steps free
