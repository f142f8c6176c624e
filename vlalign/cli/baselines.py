"""Make baselines: trivial features of captions and images, and models of random weights, as runs of a feature store.

Captions: length, bag of tokens, TF-IDF and n-grams of characters. Images: mean colour, colour histogram, size and the
pixels of a small copy. `vlalign score` scores them with each other and states every score of models beside them.
Runs in the store are kept, so the same command resumes after an interruption.

  vlalign baselines --data builtin:emoji --store features
  vlalign baselines --data pictures/ --split test --model dinov2-small llama-7b --image-size 224
  vlalign baselines --data pictures/ --dry-run
"""

from __future__ import annotations

from typing import Annotated

from vlalign.baseline.options import BaselineOptions
from vlalign.cli.app import Flags, Quiet
from vlalign.cli.output import Json, show_json


def run(
    *,
    options: Annotated[BaselineOptions, Flags] = BaselineOptions(),
    dry_run: bool = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plan, make what is missing, and list the runs.

    Args:
        dry_run: check everything and estimate disk and time, make nothing
    """
    from vlalign.baseline.runs import make_baselines, plan_baselines
    from vlalign.report.baseline import plan_document, plan_tables
    from vlalign.report.console import console
    from vlalign.report.extraction import runs_document, runs_table

    planned = plan_baselines(options)
    if dry_run:
        if json:
            show_json(plan_document(planned, options))
        else:
            console().print(plan_tables(planned, options))
        return
    runs = make_baselines(planned, options, progress=not quiet)
    if json:
        show_json(runs_document(runs, []))
    else:
        console().print(runs_table(runs, []))
        console().print(f"store   {options.store}", soft_wrap=True)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("baselines"))
