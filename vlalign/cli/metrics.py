"""List the alignment metrics with range, invariances, cost and source.

vlalign metrics
vlalign metrics --json
"""

from __future__ import annotations

from vlalign.cli.output import Json, show_json


def run(*, json: Json = False) -> None:
    """Print the table."""
    from dataclasses import asdict

    from vlalign.metrics.registry import METRICS
    from vlalign.report.catalogue import metrics_table, parameters
    from vlalign.report.console import console

    metrics = list(METRICS.values())
    if json:
        show_json([{"name": m.name, "parameters": parameters(m), **asdict(m.info)} for m in metrics])
        return
    console().print(metrics_table(metrics))
    console().print("Use: vlalign score STORE --metric NAME or NAME:PARAMETER=VALUE,PARAMETER=VALUE")


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("metrics"))
