"""List the models that have an alias.

Any other Hub id, local folder, timm:NAME or GGUF file works too, without being listed.

  vlalign models
  vlalign models --modality vision
  vlalign models --set prh
"""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    from vlalign.models.registry import MODEL_SETS

    parser.add_argument("--modality", choices=("text", "vision"))
    parser.add_argument("--family", help="e.g. dinov2, llama")
    parser.add_argument(
        "--set", dest="model_set", choices=sorted(MODEL_SETS), help="only the models of a published set"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, with sources and notes")


def run(arguments: argparse.Namespace) -> int:
    """Prints the table."""
    from dataclasses import asdict

    from vlalign.errors import VlalignError
    from vlalign.models.registry import MODEL_SETS, MODELS

    specs = [
        spec
        for spec in MODELS
        if arguments.modality in (None, spec.modality)
        and arguments.family in (None, spec.family)
        and (arguments.model_set is None or spec.alias in MODEL_SETS[arguments.model_set])
    ]
    if not specs:
        families = ", ".join(sorted({str(spec.family) for spec in MODELS}))
        raise VlalignError(f"no model fits: families are {families}")
    if arguments.json:
        print(json.dumps([asdict(spec) for spec in specs], indent=2))
        return 0
    from vlalign.report.catalogue import models_table
    from vlalign.report.console import console

    console().print(models_table(specs))
    return 0


def main() -> int:
    """``python -m vlalign.cli.models``."""
    from vlalign.cli import run_verb

    return run_verb("models")


if __name__ == "__main__":
    sys.exit(main())
