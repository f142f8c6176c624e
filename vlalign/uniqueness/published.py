"""Results on vision and language models that arXiv 2502.16282 published, read off the figures."""

from __future__ import annotations

#: rates in percent of the edited captions; the paper shows results from 10 % on
EDITED = tuple(range(10, 101, 10))
#: rates in percent that have a published slope and correlation
RATES = (10, 30, 50, 70, 90)
#: family of vision models: Spearman's ρ of U and the largest alignment over pairs of models
RHO = {"dinov2": -0.950, "augreg": -0.958, "clip": -0.953, "clip-ft-in12k": -0.952, "mae": -0.947}
#: family of vision models: at each of RATES, slope of alignment on performance and Spearman's ρ, means over sizes
PERFORMANCE = {
    "dinov2": ((0.112, 0.852), (0.108, 0.951), (0.071, 0.900), (0.065, 0.800), (0.024, 0.612)),
    "augreg": ((0.079, 0.899), (0.081, 0.974), (0.055, 0.956), (0.050, 0.794), (0.015, 0.503)),
    "clip": ((0.118, 0.802), (0.114, 0.893), (0.102, 0.860), (0.081, 0.800), (0.028, 0.690)),
    "clip-ft-in12k": ((0.108, 0.875), (0.106, 0.971), (0.080, 0.923), (0.067, 0.892), (0.023, 0.517)),
    "mae": ((0.037, 0.849), (0.042, 0.946), (0.027, 0.934), (0.032, 0.869), (0.008, 0.134)),
}
#: rate in percent: largest alignment with DINOv2
MAXIMA = {10: 0.159, 50: 0.111, 90: 0.080, 100: 0.062}
