"""List the alignment metrics with range, invariances, cost and source.

vlalign metrics
vlalign metrics --json
"""

from __future__ import annotations


def run(*, json: bool = False) -> None:
    """Print the table.

    Args:
        json: print JSON
    """
    from dataclasses import asdict
    from json import dumps

    from vlalign.metrics.registry import METRICS
    from vlalign.report.catalogue import metrics_table, parameters
    from vlalign.report.console import console

    metrics = list(METRICS.values())
    if json:
        entries = [{"name": m.name, "parameters": parameters(m), **asdict(m.info)} for m in metrics]
        print(dumps(entries, indent=2, ensure_ascii=False))
        return
    console().print(metrics_table(metrics))
    console().print("Use: vlalign score STORE --metric NAME or NAME:PARAMETER=VALUE,PARAMETER=VALUE")


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("metrics"))
