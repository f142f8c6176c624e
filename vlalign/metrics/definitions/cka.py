"""Centred kernel alignment, biased and unbiased, with linear and RBF kernels.

``CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))`` (Kornblith et al. 2019, arXiv 1905.00414). The biased HSIC is
``tr(K H L H)``; the unbiased one is eq. 5 of Song et al. 2012. The biased score of noise grows towards 1 with D / N,
the unbiased one has mean 0 under a random pairing and may be negative; neither is ever clipped.

Kernels are centred before they are compared, which changes nothing in exact arithmetic and keeps the digits where
features have a large mean. The reference adds 1e-6 to the denominator; ours does not, so features of any scale give the
same score, and constant features (whose score is 0/0) give 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Moments, choice, shown
from vlalign.metrics.engine.kernels import (
    Centred,
    as_floats,
    column_means,
    double_centred,
    linear_gram,
    median_distance,
    rbf,
    unbiased_centred,
)
from vlalign.metrics.engine.moments import permutation_moments
from vlalign.metrics.engine.pairwise import PairMatrix, PairMetric, frobenius_norm
from vlalign.metrics.engine.streamed import (
    Linear,
    Rbf,
    biased_hsic,
    centred_sums,
    norm,
    streamed_products,
    unbiased_hsic,
)

if TYPE_CHECKING:
    from torch import Tensor

#: Up to this number of samples a layer is held as its N × N kernel matrix; beyond, no N × N matrix is built.
GRAM_SAMPLES = 2048
CONSTANT = 64  # times the rounding error: a centred kernel of less, relative to the kernel, is constant


def cka(x: ArrayLike, y: ArrayLike, kernel: str = "linear", bandwidth: float | str = 1.0) -> float:
    """Compute the biased CKA of two layers [N, D1] and [N, D2], in [0, 1].

    Args:
        x, y: features, rows paired.
        kernel: ``linear`` (``X Xᵀ``) or ``rbf`` (``exp(-d² / (2 σ²))``).
        bandwidth: σ of the RBF kernel, or ``median``: each layer's median distance (:func:`median_distance`).

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, for an unknown kernel or bandwidth, or for a bandwidth
            so far from the distances of the rows that the RBF kernel is the identity or constant.

    >>> x = torch.eye(5)[:, :3]
    >>> round(cka(x, 3 * x + 1), 5)
    1.0
    """
    return Cka(kernel, bandwidth).evaluate(x, y)


def unbiased_cka(x: ArrayLike, y: ArrayLike, kernel: str = "linear", bandwidth: float | str = 1.0) -> float:
    """Compute the unbiased CKA of two layers, with the arguments of :func:`cka`.

    It is about 0 for independent features, whatever N and D.

    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(20, 300, generator=generator), torch.randn(20, 300, generator=generator)
    >>> cka(x, y) > 0.9, abs(unbiased_cka(x, y)) < 0.2
    (True, True)
    """
    return UnbiasedCka(kernel, bandwidth).evaluate(x, y)


def smallest_norm(kernel: Tensor) -> float:
    """Return the norm up to which a centred kernel is rounding only, from the trace of the uncentred one [N, N]."""
    # at most the norm of a kernel without negative eigenvalues
    norm = float(kernel.diagonal().double().sum()) / len(kernel) ** 0.5
    return CONSTANT * torch.finfo(kernel.dtype).eps * norm


@dataclass(frozen=True)
class Cka(PairMetric):
    """Biased CKA as the scorer uses it."""

    kernel: str = "linear"
    bandwidth: float | str = 1.0

    of_diagonal: ClassVar[bool] = True  # whether the diagonal of a kernel counts
    name: ClassVar[str] = "cka"
    info: ClassVar[Info] = Info(
        summary="centred kernel alignment, biased: tr(KHLH) / sqrt(tr(KHKH) tr(LHLH)); RBF too",
        range="[0, 1]; of noise near 1 where D ≫ N",
        invariances="rotation, isotropic scaling, translation",
        cost="N²·D per layer, N² per pair; D²·N per pair beyond N = 2,048",
        source="Kornblith et al. 2019 (arXiv 1905.00414)",
        permutations=200,
    )

    def __post_init__(self) -> None:
        choice(self.kernel, "kernel", self.name, ("linear", "rbf"))
        width = self.bandwidth
        known = isinstance(width, str) and width == "median"
        if not known and (isinstance(width, bool) or not isinstance(width, int | float) or not 1e-12 <= width <= 1e12):
            raise VlalignError(
                f"{self.name} needs a bandwidth between 1e-12 and 1e12, or median, got bandwidth={shown(width)}"
            )
        if self.kernel == "linear" and self.bandwidth != 1.0:
            raise VlalignError(f"{self.name} has a bandwidth with kernel=rbf only, got bandwidth={self.bandwidth!r}")

    @property
    def params(self) -> dict[str, Any]:
        """The kernel, and its bandwidth where it has one."""
        return {"kernel": self.kernel} | ({"bandwidth": self.bandwidth} if self.kernel == "rbf" else {})

    def holds(self, n: int, widths: Sequence[int]) -> int:
        """Return the bytes of one float32 matrix per layer up to N = 2,048, and of the layers beyond."""
        return super().holds(n, widths) if n <= GRAM_SAMPLES else 4 * n * sum(widths)

    def prepare(self, layer: Tensor) -> PairMatrix | Linear | Rbf:
        """Compute the centred kernel matrix, or beyond 2,048 samples the layer and the sums of its kernel matrix."""
        if self.kernel == "linear":
            features = Centred.of(layer)
            if len(layer) > GRAM_SAMPLES:
                return Linear.of(features)
            return self._centre(linear_gram(features.all()), done=True)
        features = Centred(layer, column_means(layer), 1.0)  # distances keep their scale
        bandwidth = self.bandwidth if not isinstance(self.bandwidth, str) else median_distance(features.all())
        bandwidth = float(bandwidth) or 1.0  # median 0: at least half of all pairs are equal, any width would do
        if len(layer) > GRAM_SAMPLES:
            side = Rbf.of(features, bandwidth)
            self._check_bandwidth(features, bandwidth, float(side.rows.sum()), side.square**0.5)
            return side
        whole = features.all().double()
        kernel = rbf(whole, whole, bandwidth).fill_diagonal_(0.0)
        self._check_bandwidth(features, bandwidth, float(kernel.sum()), frobenius_norm(kernel))
        return self._centre(kernel.fill_diagonal_(1.0), done=False, dtype=layer.dtype)

    def _check_bandwidth(self, features: Centred, bandwidth: float, total: float, size: float) -> None:
        """Check sum and norm of an RBF kernel off its diagonal: a bandwidth of another scale than the rows hides them.

        Raises:
            VlalignError: the kernel is the identity up to rounding, or constant though the rows differ.
        """
        layer, n = features.layer, len(features.layer)
        digits = torch.finfo(layer.dtype if self.of_diagonal else torch.float64).eps
        constant = n * (n - 1) - total <= CONSTANT * torch.finfo(torch.float64).eps * n * (n - 1)
        rounding = CONSTANT * torch.finfo(layer.dtype).eps * frobenius_norm(layer) if constant else 0.0
        if size <= CONSTANT * digits * n**0.5:
            kind, far = "the identity", "above"
        elif constant and math.hypot(*(frobenius_norm(part) for _, part in features.blocks())) > rounding:
            kind, far = "constant", "below"
        else:
            return
        raise VlalignError(
            f"{self.name}: the RBF kernel of bandwidth {bandwidth:g} is {kind} for a layer, as the distances between "
            f"its rows are far {far} it: normalise rows (preset cosine or platonic) or use bandwidth=median"
        )

    def _centre(self, kernel: Tensor, done: bool = False, dtype: torch.dtype | None = None) -> PairMatrix:
        """Centre a kernel (``done``: its rows sum to 0 already) and convert it to ``dtype``, by default its own."""
        smallest = smallest_norm(kernel)
        kernel = kernel if done else double_centred(kernel)
        return PairMatrix.of(kernel if dtype is None else kernel.to(dtype), smallest, -as_floats(kernel.diagonal()))

    def grid(self, x: Sequence[Any], y: Sequence[Any]) -> Floats:
        if isinstance(x[0], PairMatrix):
            return super().grid(x, y)
        products = streamed_products(x, y)
        scale = np.sqrt(np.outer([self._self_term(side) for side in x], [self._self_term(side) for side in y]))
        return np.divide(self._hsic(products, x, y), scale, out=np.zeros_like(products), where=scale > 0)

    def _self_term(self, side: Linear | Rbf) -> float:
        """Compute the HSIC of a layer with itself; 0 where it is rounding only."""
        value = float(self._hsic(np.array([[side.square]]), [side], [side])[0, 0])
        scale = side.square if isinstance(side, Rbf) else norm(side) ** 2  # what rounding is relative to
        return value if value > CONSTANT * torch.finfo(side.dtype).eps * scale else 0.0

    def _hsic(self, products: Floats, x: Sequence[Linear | Rbf], y: Sequence[Linear | Rbf]) -> Floats:
        return biased_hsic(products, x, y)

    def moments(self, x: Sequence[Any], y: Sequence[Any]) -> Moments | None:
        """Compute exact mean and sd; the mean is ``tr(Kc) tr(Lc) / ((N - 1) ‖Kc‖ ‖Lc‖)``."""
        if isinstance(x[0], PairMatrix):
            return super().moments(x, y)
        a, b = ([centred_sums(side) for side in sides] for sides in (x, y))
        return Moments(*permutation_moments(a, b, len(x[0].rows)))


@dataclass(frozen=True)
class UnbiasedCka(Cka):
    """Unbiased CKA as the scorer uses it."""

    of_diagonal: ClassVar[bool] = False
    name: ClassVar[str] = "unbiased_cka"
    info: ClassVar[Info] = replace(
        Cka.info,
        summary="centred kernel alignment with the unbiased HSIC; RBF too",
        range="[−1, 1]; mean 0 under a random pairing",
        source="Song et al. 2012 (JMLR 13), Nguyen et al. 2021 (arXiv 2010.15327)",
    )

    def _centre(self, kernel: Tensor, done: bool = False, dtype: torch.dtype | None = None) -> PairMatrix:
        smallest = smallest_norm(kernel)
        kernel = unbiased_centred(kernel, centred=done)
        return PairMatrix.of(kernel if dtype is None else kernel.to(dtype), smallest, np.zeros(len(kernel)))

    def _hsic(self, products: Floats, x: Sequence[Linear | Rbf], y: Sequence[Linear | Rbf]) -> Floats:
        return unbiased_hsic(products, x, y)

    def moments(self, x: Sequence[Any], y: Sequence[Any]) -> Moments | None:
        """Compute exact mean 0 and sd ``sqrt(2 / (N (N - 3)))``, whatever the features (U-centred rows sum to 0)."""
        if isinstance(x[0], PairMatrix):
            return super().moments(x, y)
        n = len(x[0].rows)
        varies = np.outer([self._self_term(side) > 0 for side in x], [self._self_term(side) > 0 for side in y])
        return Moments(np.zeros(varies.shape), np.where(varies, (2 / (n * (n - 3))) ** 0.5, 0.0))
