"""List the alignment metrics with range, invariances, cost and source.

vlalign metrics
vlalign metrics --json
"""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints the table."""
    from dataclasses import asdict

    from vlalign.metrics.registry import METRICS
    from vlalign.report.catalogue import metrics_table, parameters
    from vlalign.report.console import console

    if arguments.json:
        found = [{"name": m.name, "parameters": parameters(m), **asdict(m.info)} for m in METRICS.values()]
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    console().print(metrics_table(list(METRICS.values())))
    console().print("Use: vlalign score STORE --metric NAME or NAME:PARAMETER=VALUE,PARAMETER=VALUE")
    return 0


def main() -> int:
    """``python -m vlalign.cli.metrics``."""
    from vlalign.cli import run_verb

    return run_verb("metrics")


if __name__ == "__main__":
    sys.exit(main())
