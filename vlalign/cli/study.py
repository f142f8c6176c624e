"""Ask how alignment depends on information that one modality has for itself: a whole study in one command.

`uniqueness` edits one side more and more (see `vlalign perturb --list`), extracts what is missing, and scores every
pair of models at every rate. What is finished is kept: the same command goes on after an interruption.

  vlalign study uniqueness --x dinov2-small --y bloomz-560m open-llama-3b --op char_delete --rates 0 10 30 50 70 90
  vlalign study uniqueness --config study.yaml --out other-folder
  vlalign study uniqueness --x dinov2-base --y llama-7b --op captions_file:file=edits.json --rates 10 50 90
  accelerate launch scripts/study.py uniqueness --config study.yaml
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

#: flags of the data set: name of the DataSpec field
_DATA = {
    "data": "source", "data_revision": "revision", "data_config": "config", "split": "split",
    "image_column": "image_column", "text_column": "text_column", "id_column": "id_column", "caption": "caption",
    "max_samples": "max_samples", "on_bad_sample": "on_bad_sample",
}  # fmt: skip
_FLAGS = (
    "x", "y", "op", "rates", "seed", "side", "store", "out", "metric", "k", "preset", "permutations", "half_samples",
    "dtype", "quantization", "parallel", "image_size", "text_pool", "vision_pool", "max_length", "loss", "batch_tokens",
    "batch_images", "workers", "shard_rows", "trust_remote_code", "cpu", "allow_empty",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags; those that are not given are left to the file, then to the defaults."""
    from vlalign.cli.common import add_data_arguments
    from vlalign.models.precision import DTYPES, QUANTIZATIONS

    parser.add_argument("study", choices=("uniqueness",), help="which study")
    parser.add_argument(
        "--config", metavar="FILE", help="settings in YAML, by the names of these flags; flags go first"
    )
    what = parser.add_argument_group("what")
    what.add_argument("--x", nargs="+", action="extend", metavar="MODEL", help="models of one side, usually vision")
    what.add_argument("--y", nargs="+", action="extend", metavar="MODEL", help="models of the other, usually language")
    what.add_argument(
        "--op", metavar="NAME[:param=value,…]", help="operation that edits one side, such as char_delete or pixel_noise"
    )
    what.add_argument(
        "--rates", nargs="+", action="extend", type=float, metavar="P", help="percent, 0 to 100; 0 is always among them"
    )
    what.add_argument("--seed", type=int, metavar="S", help="of the edits (default: 0)")
    what.add_argument(
        "--side", choices=("auto", "x", "y"),
        help="the side that is edited (default: auto, that of the operation's modality; y if both are)",
    )  # fmt: skip
    what.add_argument("--allow-empty", action="store_true", help="let edits leave captions without any character")
    add_data_arguments(parser)
    score = parser.add_argument_group("score")
    score.add_argument("--metric", metavar="NAME", help="see `vlalign metrics` (default: mutual_knn)")
    score.add_argument("--k", type=int, metavar="K", help="neighbours (default: 10)")
    score.add_argument("--preset", help="convention of features and scores (default: platonic)")
    score.add_argument("--permutations", type=int, metavar="K", help="of the null, at most (default: by metric)")
    score.add_argument("--half-samples", type=int, metavar="B", help="of the interval (default: by metric)")
    how = parser.add_argument_group("features")
    how.add_argument("--dtype", choices=DTYPES, help="of the weights (default: auto)")
    how.add_argument("--quantization", choices=QUANTIZATIONS, help="of text models (default: none)")
    how.add_argument("--image-size", type=int, metavar="PX", help="side of the input instead of the checkpoint's own")
    how.add_argument("--text-pool", choices=("mean", "last"), help="instead of the preset's mean over tokens")
    how.add_argument("--vision-pool", choices=("cls", "avg"), help="instead of the preset's class token")
    how.add_argument("--max-length", type=int, metavar="TOKENS", help="longest text, instead of the model's limit")
    how.add_argument("--no-loss", dest="loss", action="store_false", help="do not compute bits per byte")
    how.add_argument("--trust-remote-code", action="store_true", help="let code from a model's repository run")
    running = parser.add_argument_group("running")
    running.add_argument("--store", metavar="FOLDER", help="feature store (default: features)")
    running.add_argument("--out", metavar="FOLDER", help="records, tables, figures and report (default: study)")
    running.add_argument("--parallel", choices=("replica", "split"), help="see `vlalign extract` (default: replica)")
    running.add_argument("--batch-tokens", type=int, metavar="N", help="tokens per text batch (default: by device)")
    running.add_argument("--batch-images", type=int, metavar="N", help="images per batch (default: by device)")
    running.add_argument(
        "--workers", type=int, metavar="N",
        help="processes that decode images, at most one per core (default: by machine)",
    )  # fmt: skip
    running.add_argument("--shard-rows", type=int, metavar="N", help="samples per file of the store (default: 128)")
    running.add_argument("--cpu", action="store_true", help="stay on the CPU")
    running.add_argument(
        "--dry-run", action="store_true", help="check everything and estimate disk and time, load no weights"
    )
    for action in parser._actions:  # what is not given must not hide what the file says
        if action.dest in (*_FLAGS, *_DATA):
            action.default = None


def run(arguments: argparse.Namespace) -> int:
    """Plans, extracts, scores, draws, and says where everything is."""
    from vlalign.report.console import console
    from vlalign.report.extraction import plan_table
    from vlalign.uniqueness import UniquenessConfig, UniquenessStudy
    from vlalign.uniqueness.config import merge

    flags: dict[str, Any] = {name: getattr(arguments, name) for name in _FLAGS}
    flags["data"] = {field: value for flag, field in _DATA.items() if (value := getattr(arguments, flag)) is not None}
    values = UniquenessConfig.read(arguments.config) if arguments.config else {}
    config = UniquenessConfig.make(merge(values, flags))
    study = UniquenessStudy(config)
    plan = study.plan()
    if arguments.dry_run:
        if study.is_main_process:
            console().print(plan_table(plan.extraction, study.engine.device, study.engine.config))
        return 0
    result = study.run(plan, progress=not arguments.quiet, report=False)
    if result is not None:
        study.report(result, config.out, console())
    return 0


def main() -> int:
    """``python -m vlalign.cli.study`` and ``scripts/study.py``."""
    from vlalign.cli import run_verb

    return run_verb("study")


if __name__ == "__main__":
    sys.exit(main())
