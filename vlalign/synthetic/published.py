"""Settings of training and results (test split) of the synthetic study that arXiv 2502.16282 published."""

from __future__ import annotations

#: learning rate and weight decay of modality 1 (side 0) and of modality 2 (side 1), for U from 0 to 8
SETTINGS: tuple[list[tuple[float, float]], list[tuple[float, float]]] = (
    [
        (1e-3, 1e-4), (5e-3, 0.1), (5e-3, 0.1), (1e-2, 1e-3), (5e-3, 0.1), (1e-2, 1e-3), (5e-3, 0.1), (1e-3, 1e-4),
        (5e-3, 0.1),
    ],
    [(1e-2, 1e-4 if u == 3 else 0.0) for u in range(9)],
)  # fmt: skip

#: metrics of published values
CKA, RBF_CKA, SVCCA, KNN = "unbiased_cka", "unbiased_cka:kernel=rbf", "svcca", "mutual_knn:k=100"
#: metric and depth of the encoder of modality 1: D_φ: Spearman ρ of U and the maximum alignment
RHO = {
    (CKA, 1): {1: -0.950, 3: -0.833, 5: -0.983, 7: -0.983, 9: -1.000},
    (CKA, 2): {1: -0.983, 3: -0.850, 5: -0.983, 7: -0.983, 9: -0.983},
    (CKA, 3): {1: -0.950, 3: -0.850, 5: -0.983, 7: -0.983, 9: -1.000},
    (RBF_CKA, 1): {1: -0.950, 3: -0.850, 5: -0.983, 7: -0.983, 9: -1.000},
    (SVCCA, 1): {1: -1.000, 3: -1.000, 5: -0.983, 7: -1.000, 9: -0.950},
    (KNN, 1): {1: -0.950, 3: -0.950, 5: -0.983, 7: -0.983, 9: -1.000},
}
#: metric and depth of the encoder of modality 1: U: Spearman ρ of D_φ and the maximum alignment
RHO_OF_PHI = {
    (CKA, 1): {0: -0.915, 2: -0.709, 4: -0.442, 6: -0.770},
    (SVCCA, 1): {0: -0.673, 2: -0.782, 4: -0.624, 6: -0.576},
    (KNN, 1): {0: -0.939, 2: -0.648, 4: -0.309, 6: -0.588},
}
#: U: maximum alignment at D_φ = 1, read off the figure
MAXIMA = {0: 0.91, 1: 0.81, 2: 0.67, 3: 0.46, 4: 0.43, 5: 0.45, 6: 0.45, 7: 0.38, 8: 0.0}
#: U: median over D_φ and seeds of the rank correlation of alignment and performance
ALIGNMENT_PERFORMANCE = {0: 0.68, 1: 0.69, 2: 0.60, 3: 0.33, 4: 0.27, 5: 0.22, 6: 0.17, 7: 0.00, 8: 0.12}
#: U: median of that of alignment and depth
ALIGNMENT_DEPTH = {0: 0.93, 1: 0.88, 2: 0.86, 3: 0.45, 4: 0.25, 5: 0.29, 6: 0.05, 7: 0.00, 8: 0.09}
#: range over all U of the median of that of performance and depth
PERFORMANCE_DEPTH = (0.53, 0.76)
#: U: range of the test accuracy of modality 2
ACCURACY = {0: (0.78, 0.91), 2: (0.65, 0.74), 4: (0.65, 0.71), 6: (0.57, 0.66), 8: (0.53, 0.60)}


def published(side: int, uniqueness: int) -> tuple[float, float]:
    """Return the published learning rate and weight decay of modality 1 (side 0) or 2 (side 1); for U > 8 that of 8."""
    return SETTINGS[side][min(uniqueness, 8)]


def published_metric(metric: str) -> str | None:
    """Return the key of a metric's published values, None without; which RBF CKA was published is not stated.

    >>> published_metric("mutual_knn:k=100"), published_metric("cka:kernel=rbf"), published_metric("mutual_knn")
    ('mutual_knn:k=100', 'unbiased_cka:kernel=rbf', None)
    """
    from vlalign.metrics import parse_metric

    parsed = parse_metric(metric)
    for known in (CKA, RBF_CKA, SVCCA, KNN):
        own = parse_metric(known)
        names = ("cka", "unbiased_cka") if known == RBF_CKA else (own.name,)
        if parsed.name in names and parsed.params == own.params:
            return known
    return None
