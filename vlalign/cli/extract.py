"""Extract pooled features of every layer of models on paired image–text data.

Features in the store are kept, so the same command resumes after an interruption.

  vlalign extract --model dinov2-small --model llama-7b
  accelerate launch scripts/extract.py --model llama-7b
  accelerate launch --num_processes 1 scripts/extract.py --model llama-65b --parallel split --quantization nf4
  torchrun --nproc_per_node 2 scripts/extract.py --model bloomz-560m --cpu
  vlalign extract --model llama-7b --perturb char_delete:30
  vlalign extract --model ./my-model --data pictures/ --dry-run
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from vlalign.cli.app import Flags, Quiet
from vlalign.cli.output import Json, show_json
from vlalign.config import Many, plain
from vlalign.extraction.options import ExtractOptions
from vlalign.models.registry import MODEL_SETS
from vlalign.tracking import Log, find_tracker, started

if TYPE_CHECKING:
    from vlalign.extraction import Plan
    from vlalign.extraction.offline import OfflinePlan

logger = logging.getLogger(__name__)


def run(
    *,
    options: Annotated[ExtractOptions, Flags] = ExtractOptions(),
    model_set: Many[Literal[*MODEL_SETS]] = (),  # type: ignore[valid-type]
    dry_run: bool = False,
    log: Log = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plan, extract, and report the runs.

    Args:
        model_set: published sets of models
        dry_run: check everything and estimate disk and time, load no weights
    """
    from vlalign.extraction.engine import Engine
    from vlalign.extraction.offline import offline_plan
    from vlalign.remote import HubUnreachable
    from vlalign.report.console import console
    from vlalign.report.extraction import extraction_table, plan_document, plan_table, runs_document

    names = [*options.models, *(name for chosen in model_set for name in MODEL_SETS[chosen])]
    tracker = find_tracker(log, "vlalign-extract")
    engine = Engine(replace(options, models=tuple(dict.fromkeys(names))))
    planned: Plan | OfflinePlan
    try:
        planned = plan = engine.plan()
    except HubUnreachable as error:
        if not dry_run:
            raise
        planned = offline_plan(engine.config, engine.device, error)
    if dry_run:
        if engine.is_main and json:
            show_json(plan_document(planned, engine.device, engine.config))
        elif engine.is_main:
            console().print(plan_table(planned, engine.device, engine.config))
        return
    for line in plan.advice if engine.is_main else []:
        logger.warning(line)
    with started(tracker if engine.is_main else None, plain(engine.config)):
        extractions = engine.run(plan, progress=not quiet, tracker=tracker)
    if engine.is_main and json:
        show_json(runs_document([one.run for one in extractions], []))
    elif engine.is_main:
        console().print(extraction_table(extractions))


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("extract"))
