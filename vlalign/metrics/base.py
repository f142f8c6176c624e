"""The interface of a metric: its description, its parameters, and the steps in which the scorer calls it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlalign.arithmetic import exact_float32
from vlalign.arrays import LazyLayer, as_tensor, row_blocks
from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.row_ids import refuse_other_order

if TYPE_CHECKING:
    from torch import Tensor

_HUGE = 10**1000  # Python refuses to write much longer numbers
_SMALL = 1e-12  # norms below it are computed of rows that are scaled first
_ROWS = 4096  # of those, read together
_SAMPLED, _RESOLVED = 32, 400 * 2.0**-23  # rows, and share of squared norms; see resolved()
_Layer = TypeVar("_Layer", "Tensor", LazyLayer, "Tensor | LazyLayer")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Info:
    """Description of a metric, as ``vlalign metrics`` lists it."""

    summary: str  # one line, formula where it fits
    range: str  # e.g. "[0, 1]"
    invariances: str  # what may be done to either side without changing the value
    cost: str  # work per layer and per layer pair
    source: str  # who defined it
    symmetric: bool = True  # metric(x, y) == metric(y, x)
    permutations: int = 1000  # default number, of the null


@dataclass(frozen=True)
class Moments:
    """Exact mean and standard deviation [Lx, Ly] of a metric over all row permutations; sd None where unknown."""

    mean: Floats
    sd: Floats | None


@dataclass(frozen=True)
class NullMoments:
    """Moments, over all row permutations, of the values of P layer pairs, or of counts on which these depend linearly.

    Attributes:
        mean: [P].
        covariance: [P, P].
        skewness: [P] of values; None for counts.
        unit: change of a value with one more count.
        zero: value of no count.
        heaviness: largest ratio, over layer pairs, of the kurtosis of values to that of a Pearson type III distribution
            of their skewness, approximately; infinite where moments of some samples are not those of all.
    """

    mean: Floats
    covariance: Floats
    skewness: Floats | None = None
    unit: float = 1.0
    zero: float = 0.0
    heaviness: float = 1.0

    def values(self, counts: Any) -> Any:
        """Return the values of counts, numbers or arrays."""
        return self.zero + self.unit * counts


class Metric(ABC):
    """A metric: work per layer, done once (``prepare``), then the grid of all layer pairs.

    Values are float64, finite, and larger for more aligned layers. Subclasses are frozen dataclasses.
    """

    name: ClassVar[str]
    info: ClassVar[Info]

    @property
    def lazy(self) -> bool:
        """Whether :meth:`prepare` and :meth:`for_subsets` take a layer whose rows are computed when they are read."""
        return False

    @property
    def params(self) -> dict[str, Any]:
        """Parameters, as records hold them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @property
    def paired(self) -> bool:
        """Whether the value depends on which rows are paired; if not, no permutation null exists."""
        return True

    @property
    def preparation(self) -> Hashable:
        """Value that is equal for metrics whose prepared layers are the same, so that they are computed once."""
        return self

    @property
    def label(self) -> str:
        """Name with parameters, as :func:`vlalign.metrics.parse_metric` reads them.

        >>> from vlalign.metrics import get_metric
        >>> get_metric("mutual_knn", k=5).label
        'mutual_knn:k=5'
        """
        return metric_text(self.name, self.params)

    def check(self, n: int, widths: Sequence[int] = ()) -> None:
        """Raise VlalignError if the metric is not defined for ``n`` samples and layers of ``widths``.

        The default asks for 4 samples: with fewer no statistic of pairs of samples has a variance.
        """
        if n < 4:
            raise VlalignError(f"{self.name} needs at least 4 samples, got N={n}")

    def holds(self, n: int, widths: Sequence[int]) -> int:
        """Return the bytes held for one model with layers of ``widths`` while its pairs are scored.

        The default is a float64 number for each entry of a layer, or of a basis of its columns.
        """
        return 8 * n * sum(min(n, width) for width in widths)

    @exact_float32()
    def evaluate(self, x: ArrayLike, y: ArrayLike) -> float:
        """Compute the metric of one pair of layers [N, D1] and [N, D2], after the checks that every metric needs.

        Raises:
            VlalignError: no features [N, D], numbers of rows or indexes of frames that differ, values that are not
                finite, or what the metric itself refuses.
        """
        checked = paired_features(x, y)
        for side, name in zip(checked, "xy", strict=True):
            checked_norms(side, name)
        self.check(len(checked[0]), [side.shape[1] for side in checked])
        return float(self.grid([self.prepare(checked[0])], [self.prepare(checked[1])])[0, 0])

    @abstractmethod
    def prepare(self, layer: Tensor) -> Any:
        """Prepare one layer [N, D] (checked, finite, float32 or float64) for comparison with any other."""

    @abstractmethod
    def grid(self, x: Sequence[Any], y: Sequence[Any]) -> Floats:
        """Compute the values [Lx, Ly] of all pairs of prepared layers."""

    @abstractmethod
    def reorder(self, prepared: Any, order: Ints) -> Any:
        """Return the prepared layer with its rows in another order: new row i is row ``order[i]``."""

    def permuted(self, x: Sequence[Any], y: Sequence[Any], permutations: Ints) -> Floats:
        """Compute the values [P, Lx, Ly] after the rows of y are permuted by each of ``permutations`` [P, N]."""
        return np.stack([self.grid(x, [self.reorder(layer, order) for layer in y]) for order in permutations])

    def moments(self, x: Sequence[Any], y: Sequence[Any]) -> Moments | None:
        """Compute exact mean and sd of every layer pair under a random pairing of the rows; None without a formula."""
        return None

    def null_moments(self, x: Sequence[Any], y: Sequence[Any]) -> NullMoments | None:
        """Compute moments of the values of all layer pairs under a random pairing; None without a formula."""
        return None

    def per_sample(self, x: Any, y: Any) -> Floats | None:
        """Compute the values [N] of the samples, whose mean is that of a pair of prepared layers; None without such."""
        return None

    def for_subsets(self, layer: Tensor, smallest: int) -> Any:
        """Prepare a layer [N, D] for :meth:`subset` with subsets of at least ``smallest`` random rows."""
        return layer

    def subset(self, kept: Any, rows: Ints) -> Any:
        """Return :meth:`prepare` of the rows ``rows`` (ascending) of a layer that went through :meth:`for_subsets`."""
        return self.prepare(take_rows(kept, rows))


def metric_text(name: str, params: Mapping[str, Any]) -> str:
    """Format a metric as :func:`vlalign.metrics.parse_metric` reads it.

    >>> metric_text("linear_predictivity", {"folds": 5, "alphas": (0.1, 1.0)})
    'linear_predictivity:folds=5,alphas=0.1/1.0'
    """
    given = ",".join(f"{key}={value_text(value)}" for key, value in params.items())
    return f"{name}:{given}" if given else name


def value_text(value: Any) -> str:
    """Format a parameter; several numbers are separated by slashes, as commas separate parameters."""
    return "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def whole_number(value: Any, name: str, metric: str, least: int = 1) -> int:
    """Return ``value`` as an int of at least ``least``.

    Raises:
        VlalignError: for anything else; booleans and floats are refused.
    """
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, int) and abs(value) >= _HUGE:
        raise VlalignError(f"{metric} needs a whole number {name} of fewer digits")
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise VlalignError(f"{metric} needs a whole number {name} >= {least}, got {name}={shown(value)}")
    return int(value)


def shown(value: Any) -> str:
    """Return ``repr(value)`` for a message, cut to 200 characters; Python refuses it for numbers of 4,300 digits."""
    try:
        return repr(value)[:200]
    except ValueError:
        return "a number of thousands of digits"


def choice(value: Any, name: str, metric: str, allowed: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``allowed``.

    Raises:
        VlalignError: for anything else.
    """
    if not isinstance(value, str) or value not in allowed:
        raise VlalignError(f"{metric} knows {name} {' or '.join(allowed)}, got {name}={shown(value)}")
    return str(value)


def take_rows(x: Tensor | LazyLayer, order: Ints) -> Tensor:
    """Return ``x[order]`` on the device of ``x``."""
    return x[torch.from_numpy(order).to(x.device)]


def check_features(x: ArrayLike, what: str = "features") -> Tensor:
    """Return features [N, D] as a tensor in float32, or float64 if they were float64.

    Raises:
        VlalignError: as :func:`vlalign.arrays.as_tensor`, or not two-dimensional, or empty.
    """
    x = as_tensor(x, what)
    if x.ndim != 2 or 0 in x.shape:
        raise VlalignError(f"{what} must be [N, D] with N, D >= 1, got shape {list(x.shape)}")
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def paired_features(x: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return both layers as :func:`check_features` does.

    Raises:
        VlalignError: as :func:`check_features`, other numbers of rows, or frames with other ids or another index.
    """
    refuse_other_order(x, y)
    checked = check_features(x, "x"), check_features(y, "y")
    same_rows(*checked)
    return checked


def checked_norms(x: Tensor | LazyLayer, what: str = "features") -> Tensor:
    """Compute the L2 norms [N, 1] of the rows of ``x``, and check that all values are finite.

    Raises:
        VlalignError: for NaN or infinity in ``x``, or rows so large that their inner products overflow.
    """
    parts = [x] if isinstance(x, torch.Tensor) else (part for _, part in row_blocks(x))
    norms = torch.cat([torch.linalg.vector_norm(part, dim=1, keepdim=True) for part in parts])
    if bool(norms.max() < torch.finfo(x.dtype).max ** 0.5):  # false for NaN
        return norms
    for start in range(0, len(x), rows := max(1, 2**22 // x.shape[1])):
        bad = torch.nonzero(~torch.isfinite(x[start : start + rows]).all(dim=1))
        if len(bad):
            row = start + int(bad[0, 0])
            raise VlalignError(f"a value of {what} is not finite (first in row {row}): leave that sample out")
    raise VlalignError(f"inner products of {what} overflow {x.dtype}: scale them down")


def resolved(layer: _Layer, unit: bool = False) -> _Layer:
    """Return a float32 layer [N, D] in float64 if float32 inner products of its rows cannot resolve their differences.

    That is so where rows have a large common offset: half the squared distance of most pairs of rows is below 400 eps
    of their squared norms, in a sample of 32 rows. ``unit``: the rows are going to be normalised.
    """
    if layer.dtype != torch.float32:
        return layer
    step = -(-len(layer) // _SAMPLED) | 1  # odd, as samples may be in a regular order
    rows = layer[torch.arange(0, len(layer), step, device=layer.device)].cpu().double()
    squares = rows.square().sum(dim=1, keepdim=True)
    if unit:
        rows, squares = rows / squares.where(squares > 0, 1.0).sqrt(), (squares > 0).double()
    spread = (rows - rows.flip(0)).square().sum(dim=1).median() / 2
    return layer.double() if spread < _RESOLVED * squares.median() else layer


def normalise_rows(layer: _Layer, what: str = "features") -> tuple[_Layer, int]:
    """L2-normalise the rows of a layer [N, D], and count the zero rows. ``what`` names the features in errors.

    A zero row stays zero: it has inner product 0 with every row, so its neighbours are the first k other rows.

    Raises:
        VlalignError: as :func:`checked_norms`.

    >>> normalise_rows(torch.tensor([[3e-30, 4e-30], [0.0, 0.0]]))
    (tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]]), 1)
    """
    norms = checked_norms(layer, what)
    small = torch.nonzero(norms.flatten() < _SMALL).flatten()
    largest = [layer[rows].abs().amax(dim=1) for rows in small.split(_ROWS)]
    if any(bool(part.any()) for part in largest):  # scaled first, as squares may underflow
        scale = torch.ones_like(norms)
        scale[small, 0] = torch.cat([part.where(part > 0, 1.0) for part in largest])
        layer = layer / scale
        norms = checked_norms(layer, what)
    return layer / norms.where(norms > 0, 1.0), int((norms == 0).sum())


def same_rows(x: Tensor, y: Tensor) -> None:
    """Check that two feature tensors have the same number of rows; the metric checks everything else."""
    if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) and x.ndim == y.ndim == 2 and len(x) != len(y):
        raise VlalignError(f"x has {len(x)} rows and y has {len(y)}: pair the samples first")
