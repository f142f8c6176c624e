"""Estimate what two modalities share about the label of the synthetic task, beside exact values.

python benchmarks/information_synthetic.py --samples 4000 --csv information.csv       # a minute of one core a U
python benchmarks/information_synthetic.py --samples 45875 --features bits --uniqueness 8

docs/information.csv has the rows of 4,000 and of 45,875 samples.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import torch

from vlalign import information
from vlalign.decomposition import InformationResult
from vlalign.synthetic import SyntheticConfig, make_data
from vlalign.synthetic.distribution import all_bits
from vlalign.synthetic.quantities import decomposition

QUANTITIES = ("I1", "I2", "I12", "R", "U1", "U2", "S")


def main() -> None:
    """Estimate, show each row, and write a CSV file if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000, help="first samples of the task")
    parser.add_argument("--uniqueness", type=int, nargs="+", default=[0, 2, 4, 8])
    parser.add_argument("--features", choices=["phi", "bits"], default="phi", help="phi: as encoders see them, D_φ = 1")
    parser.add_argument("--csv", metavar="FILE", help="write the rows there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config, rows = SyntheticConfig(), []
    for u in options.uniqueness:
        data, start = make_data(config, u), time.process_time()
        if options.features == "phi":
            sides = [data.features(m, 1) for m in (0, 1)]
        else:
            bits = torch.from_numpy(np.asarray(all_bits(config.width), dtype=np.float32))
            sides = [bits[torch.from_numpy(data.codes(m))] for m in (0, 1)]
        x1, x2 = (side[: options.samples] for side in sides)
        result = information(x1, x2, data.labels[: options.samples], units="nats")
        assert isinstance(result, InformationResult)
        exact, _ = decomposition(config, u)
        print(f"U = {u}: {time.process_time() - start:.0f} s of the processor")
        for name in QUANTITIES:
            one = result.estimates[name]
            rows.append({
                "features": options.features, "samples": options.samples, "uniqueness": u, "quantity": name,
                "value": one.value, "low": one.low, "high": one.high, "detected": one.detected,
                "exact": getattr(exact, name),
            })  # fmt: skip
    table = pd.DataFrame(rows).round(3)
    print(table.to_string(index=False))
    if options.csv:
        table.to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
