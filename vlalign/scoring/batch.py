"""Score models over all layer pairs: check everything, then one record after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations, pairwise, product
from threading import Thread
from typing import Any

import psutil
import torch

from vlalign.arithmetic import exact_float32
from vlalign.config import keywords
from vlalign.errors import VlalignError
from vlalign.metrics.base import Metric
from vlalign.metrics.engine.approximate import graph_bytes
from vlalign.scoring.categories import columns_of, resolve_categories
from vlalign.scoring.grouping import BY_ROW, are_by_row, are_exact, resolve_groups, resolve_positives
from vlalign.scoring.inputs import Arrays, Features, Side, check_pairing, is_run, sample_names
from vlalign.scoring.layers import find_device
from vlalign.scoring.options import ScoreOptions
from vlalign.scoring.record import ScoreRecord
from vlalign.scoring.records import ScoreRecords
from vlalign.scoring.scorer import Scorer
from vlalign.stats.curves import curves_hold

log = logging.getLogger(__name__)

_LOGGED_BYTES = 2**30  # of what is kept of all layers, from which on they are logged


@keywords(ScoreOptions)
def score_pairs(
    pairs: Iterable[tuple[Features, Features]] | Mapping[str, Features],
    others: Mapping[str, Features] | None = None,
    options: ScoreOptions = ScoreOptions(),
) -> ScoreRecords:
    """Score many pairs as :func:`vlalign.score` does, with one metric or several; each layer is prepared once.

    All pairs are checked at once; records are computed one by one as they are asked for, so that each can be kept.
    ``seconds`` of a record counts the work done for it: nothing for a side that an earlier pair had prepared. What was
    prepared of a side is let go after its last pair, so put the pairs of one side next to each other.

    Args:
        pairs: sides x and y of each; or features by name, each of which is scored with each of the others.
        others: features by name; None with features by name scores every two of them, and belongs to pairs.
        options: of all scores; ``metric`` may be several.

    Returns:
        The records, in the order of metrics and pairs.

    Raises:
        VlalignError: as :func:`vlalign.score`, for any of the pairs.
    """
    if isinstance(pairs, Mapping):
        x = _named(pairs, "x")
        pairs = combinations(x, 2) if others is None else product(x, _named(others, "y"))
    elif others is not None:
        raise VlalignError("others are for features by name: give pairs alone, or two mappings from names to features")
    return ScoreRecords(prepare_pairs(pairs, options))


def _named(sides: Mapping[str, Features], label: str) -> list[Features]:
    return [side if is_run(side) else Arrays(side, name=str(name), label=label) for name, side in sides.items()]


@dataclass(frozen=True)
class Planned:
    """A score to compute: call it for the record, or :meth:`pass_over` where there is a record already.

    Attributes:
        title: of both models and the metric.
        sides: features of x and y.
        metric: of the score.
    """

    title: str
    _request: Callable[[], dict[str, Any] | None]
    _compute: Callable[[Future[dict[str, Any] | None]], ScoreRecord]
    _release: Callable[[], None]
    sides: tuple[Features, Features]
    metric: Metric

    @cached_property
    def request(self) -> dict[str, Any] | None:
        """Everything that the record depends on, as its ``environment`` keeps it; None where this is not known."""
        return self._request()

    @exact_float32()
    def __call__(self) -> ScoreRecord:
        """Return the record."""
        request: Future[dict[str, Any] | None] = Future()

        def state() -> None:
            try:
                request.set_result(self.request)
            except BaseException as error:
                request.set_exception(error)

        Thread(target=state, daemon=True).start()  # digests of arrays take about as long as their neighbours
        try:
            return self._compute(request)
        finally:
            self._release()

    def pass_over(self) -> None:
        """Check the runs' checksums, which a record relies on; free what only this score needed.

        Raises:
            VlalignError: a shard is missing or damaged.
        """
        for side in self.sides:
            if hasattr(side, "check"):
                side.check()
        self._release()


def prepare_pairs(pairs: Iterable[tuple[Features, Features]], options: ScoreOptions = ScoreOptions()) -> list[Planned]:
    """Plan :func:`score_pairs`: each record is a function to call, in order; one that fails may be skipped.

    Raises:
        VlalignError: as :func:`vlalign.score`, for any of the pairs.
    """
    options.check_neighbours()
    pairs = _converted(pairs)
    metrics, device = options.metrics, find_device(options.device)
    for x, y in pairs:
        _check(x, y, metrics, options)
    _check_rows([x for x, _ in pairs], options)
    for chosen in metrics:
        options.settings(chosen)  # refuses what the metric does not have
        _check_memory(chosen, pairs, options, device)
    scorer = Scorer(options, device)
    last = {id(side): i for i, pair in enumerate(pairs) for side in pair}

    def release(chosen: Metric, i: int) -> None:
        if chosen is metrics[-1]:
            scorer.release([side for side in pairs[i] if last[id(side)] == i])
        if i == len(pairs) - 1:
            scorer.forget(chosen)

    planned = []
    for chosen, (i, (x, y)) in product(metrics, enumerate(pairs)):
        title = f"{_title(x, 'x')} × {_title(y, 'y')} {chosen.name}"
        request, compute = partial(scorer.request, chosen, x, y), partial(scorer.pair, chosen, x, y)
        planned.append(Planned(title, request, compute, partial(release, chosen, i), (x, y), chosen))
    return planned


def _converted(pairs: Iterable[tuple[Features, Features]]) -> list[tuple[Features, Features]]:
    """Return the pairs with arrays of any kind as :class:`Arrays`, so that each is converted once."""
    given = list(pairs)  # holds the objects, so that their ids stay unique
    sides: dict[int, Features] = {}
    for pair in given:
        for side, label in zip(pair, "xy", strict=True):
            if id(side) not in sides:
                sides[id(side)] = side if is_run(side) or isinstance(side, Arrays) else Arrays(side, label=label)
    return [(sides[id(x)], sides[id(y)]) for x, y in given]


def _title(side: Features, label: str) -> str:
    return str(side.key.title) if hasattr(side, "key") else getattr(side, "name", None) or label


def _check(x: Features, y: Features, metrics: Sequence[Metric], options: ScoreOptions) -> None:
    a, b = Side(x, "x"), Side(y, "y")
    check_pairing(a, b)
    names = sample_names(a, b)
    if not are_exact(options.groups):
        resolve_groups(options.groups, names, a.n)
    for column in columns_of(options.within):
        resolve_categories(column, names, a.n)
    positives = resolve_positives(options.positives, names, a.n)
    n = a.n if positives is None else int(positives.labels.max()) + 1
    for metric in metrics:
        metric.check(n, [*_widths(a, options.concat), *_widths(b, options.concat)])


def _check_rows(given: Sequence[Features], options: ScoreOptions) -> None:
    """Raise VlalignError for labels by row, which are those of x, where the sides x have their rows in other orders."""
    labels = {"groups": options.groups, "positives": options.positives}
    labels |= {f"the values of {column.name}": column.values for column in columns_of(options.within)}
    by_row = [what for what, values in labels.items() if are_by_row(values)]
    if not by_row:
        return
    sides = [side for side in (Side(x, "x") for x in given) if side.names is not None]
    for first, side in pairwise(sorted(sides, key=lambda side: side.ids is None)):  # those with row numbers last
        numbered = first.ids is None or side.ids is None
        if side.names != first.names and not (numbered and set(side.names or ()) != set(first.names or ())):
            raise VlalignError(BY_ROW.format(by_row[0], first.source, side.source))


def _widths(side: Side, concat: bool) -> list[int]:
    widths = [int(entry["width"]) for entry in side.axis]
    return [*widths, sum(widths)] if concat else widths


def _check_memory(
    metric: Metric, pairs: Sequence[tuple[Features, Features]], options: ScoreOptions, device: torch.device | None
) -> None:
    """Log the memory of what is kept of all layers if it is large, and refuse what cannot fit."""
    sides = {id(side): Side(side, "x") for pair in pairs for side in pair}
    all_widths = {name: _widths(side, options.concat) for name, side in sides.items()}
    holds = {name: metric.holds(side.n, all_widths[name]) for name, side in sides.items()}
    places: dict[int, list[int]] = {}
    for i, pair in enumerate(pairs):
        for side in pair:
            places.setdefault(id(side), []).append(i)
    needed = 0
    for i, (x, y) in enumerate(pairs):
        alive = sum(size for name, size in holds.items() if places[name][0] <= i <= places[name][-1])
        if options.full:
            alive += curves_hold(metric, sides[id(x)].n, [*all_widths[id(x)], *all_widths[id(y)]])
        if options.is_approximate(metric):
            graph = graph_bytes(sides[id(x)].n, max(*all_widths[id(x)], *all_widths[id(y)]))
            alive += graph * torch.get_num_threads()  # one layer each
        needed = max(needed, alive)
    if needed < _LOGGED_BYTES:
        return
    if device is not None and device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = psutil.virtual_memory().available
    n = max(side.n for side in sides.values())
    what = f"{metric.label}, with the curves of a full report," if options.full else metric.label
    text = f"{what} keeps {needed / 2**30:.1f} GiB of all layers, N = {n}"
    if needed > 0.9 * free:
        raise VlalignError(
            f"{text}, and {free / 2**30:.1f} GiB are free: score fewer samples, fewer pairs at once, or another metric"
        )
    log.info(text)
