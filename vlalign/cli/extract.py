"""Extract pooled features of every layer of models on paired image–text data.

What is in the store already is kept, so the same command resumes after an interruption.

  vlalign extract --model dinov2-small --model llama-7b
  accelerate launch scripts/extract.py --model llama-7b
  accelerate launch --num_processes 1 scripts/extract.py --model llama-65b --parallel split --quantization nf4
  torchrun --nproc_per_node 2 scripts/extract.py --model bloomz-560m --cpu
  vlalign extract --model llama-7b --perturb char_delete:30
  vlalign extract --model ./my-model --data pictures/ --dry-run
"""

from __future__ import annotations

import argparse
import sys

from vlalign.extraction.config import PARALLEL, PRESETS, TEXT_POOLS, VISION_POOLS, ExtractConfig
from vlalign.models.precision import DTYPES, QUANTIZATIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    from vlalign.cli.common import add_data_arguments
    from vlalign.models.registry import MODEL_SETS

    what = parser.add_argument_group("what")
    what.add_argument(
        "--model", dest="models", action="append", default=[], metavar="NAME",
        help="alias (see `vlalign models`), Hub id, local folder, timm:NAME or a GGUF file; may be repeated",
    )  # fmt: skip
    what.add_argument(
        "--model-set", action="append", default=[], choices=sorted(MODEL_SETS), help="a published set of models"
    )
    what.add_argument("--revision", help="branch, tag or commit of the model (one model)")
    add_data_arguments(parser)
    how = parser.add_argument_group("how")
    how.add_argument(
        "--preset", default="platonic", choices=sorted(PRESETS), help="pooling and preprocessing convention"
    )
    how.add_argument("--dtype", default="auto", choices=DTYPES, help="of the weights; auto says what it chose and why")
    how.add_argument("--quantization", default="none", choices=QUANTIZATIONS, help="of text models, by bitsandbytes")
    how.add_argument(
        "--parallel", default="replica", choices=PARALLEL,
        help="replica: one copy per process; split: one process spreads one copy over its devices",
    )  # fmt: skip
    how.add_argument("--image-size", type=int, metavar="PX", help="side of the input instead of the checkpoint's own")
    how.add_argument("--text-pool", choices=TEXT_POOLS, help="instead of the preset's mean over tokens")
    how.add_argument("--vision-pool", choices=VISION_POOLS, help="instead of the preset's class token")
    how.add_argument("--max-length", type=int, metavar="TOKENS", help="longest text, instead of the model's limit")
    how.add_argument(
        "--perturb", action="append", default=[], metavar="OP:RATE[,…]",
        help="edit captions or images, such as char_delete:30 or patch_delete:20,grid=8 (see `vlalign perturb "
        "--list`); may be repeated",
    )  # fmt: skip
    how.add_argument("--allow-empty", action="store_true", help="let edits leave captions without any character")
    how.add_argument(
        "--no-loss", dest="loss", action="store_false", help="do not compute bits per byte of causal models"
    )
    how.add_argument("--trust-remote-code", action="store_true", help="let code from a model's repository run")
    running = parser.add_argument_group("running")
    running.add_argument("--store", default="features", metavar="FOLDER", help="feature store to write to")
    running.add_argument("--batch-tokens", type=int, metavar="N", help="tokens per text batch (default: by device)")
    running.add_argument("--batch-images", type=int, metavar="N", help="images per batch (default: by device)")
    running.add_argument(
        "--workers", type=int, metavar="N",
        help="processes that decode images, at most one per core (default: by machine)",
    )  # fmt: skip
    running.add_argument("--shard-rows", type=int, default=128, metavar="N", help="samples per file of the store")
    running.add_argument("--cpu", action="store_true", help="stay on the CPU")
    running.add_argument(
        "--dry-run", action="store_true", help="check everything and estimate disk and time, load no weights"
    )


def run(arguments: argparse.Namespace) -> int:
    """Plans, extracts, and says where everything is."""
    from vlalign.cli.common import data_spec
    from vlalign.models.registry import MODEL_SETS

    names = [*arguments.models, *(name for chosen in arguments.model_set for name in MODEL_SETS[chosen])]
    config = ExtractConfig(
        models=tuple(dict.fromkeys(names)),
        data=data_spec(arguments),
        **{
            field: getattr(arguments, field)
            for field in (
                "store", "preset", "dtype", "quantization", "parallel", "revision", "image_size", "text_pool",
                "vision_pool", "max_length", "loss", "batch_tokens", "batch_images", "workers", "shard_rows",
                "trust_remote_code", "cpu", "allow_empty",
            )
        },
        perturb=tuple(arguments.perturb),
    )  # fmt: skip

    from vlalign.extraction.engine import Engine
    from vlalign.report.console import console
    from vlalign.report.extraction import extraction_table, plan_table

    engine = Engine(config)
    plan = engine.plan()
    if arguments.dry_run:
        if engine.is_main:
            console().print(plan_table(plan, engine.device, config))
        return 0
    extractions = engine.run(plan, progress=not arguments.quiet)
    if engine.is_main:
        console().print(extraction_table(extractions))
    return 0


def main() -> int:
    """``python -m vlalign.cli.extract`` and ``scripts/extract.py``."""
    from vlalign.cli import run_verb

    return run_verb("extract")


if __name__ == "__main__":
    sys.exit(main())
