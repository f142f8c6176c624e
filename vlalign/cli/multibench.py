"""MultiBench's affect data, spoken digits, or data of your own: look at them and prepare them.

A prepared data set is a folder of checked, memory-mapped tensors. Pickles are read without running anything in them.

  vlalign multibench inspect mosi_raw.pkl
  vlalign multibench prepare mosi mosi_raw.pkl
  vlalign multibench prepare avmnist --images mnist --speech free-spoken-digit-dataset
  vlalign multibench prepare custom data.npz --out my-data
  vlalign multibench prepare custom --array image=images.npy --array audio=sounds.npy --labels labels.npy
  vlalign multibench inspect multibench-data/mosi
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

#: what each action is for
_ACTIONS = {
    "inspect": "what a file or prepared folder holds, and what preparing it will do",
    "prepare": "check a data set and write it as a folder that training reads",
}
#: what each data set is prepared from
_DATA = {
    "mosi": "CMU-MOSI: sentiment from vision, audio and text",
    "mosei": "CMU-MOSEI: sentiment from vision, audio and text",
    "urfunny": "UR-FUNNY: humour from vision, audio and text",
    "mustard": "MUStARD: sarcasm from vision, audio and text",
    "avmnist": "MNIST with spoken digits (needs pip install 'vlalign[audio]')",
    "custom": "two or more modalities of your own",
}
_FILE = "pickle, .npz, .safetensors or folder of .npy files with train, valid and test"


def add_arguments(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The verb's actions and their flags; returns the parsers of the actions."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    made = {
        name: actions.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False,
            formatter_class=parser.formatter_class,
        )
        for name, text in _ACTIONS.items()
    }  # fmt: skip
    inspect = made["inspect"]
    inspect.add_argument("file", metavar="FILE", help=f"{_FILE}, or a prepared folder")
    inspect.add_argument("--json", action="store_true", help="print JSON instead of tables")
    kinds = made["prepare"].add_subparsers(dest="kind", metavar="data set", required=True)
    parsers = {
        name: kinds.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            allow_abbrev=False,
            formatter_class=parser.formatter_class,
        )
        for name, text in _DATA.items()
    }
    for name, one in parsers.items():
        if name not in ("avmnist", "custom"):
            one.add_argument("file", metavar="FILE", help=f"MultiBench's processed {_FILE}")
    _avmnist_flags(parsers["avmnist"])
    _custom_flags(parsers["custom"])
    for name, one in parsers.items():
        one.add_argument("--out", metavar="FOLDER", help=f"folder to write (default: multibench-data/{name})")
        one.add_argument(
            "--pool", choices=("cls", "mean"), help="how encoders pool (default: the convention of the data set)"
        )
        one.add_argument("--force", action="store_true", help="replace another data set in that folder")
    return [*made.values(), *parsers.values()]


def _avmnist_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", required=True, metavar="FOLDER", help="with the four IDX files of MNIST")
    parser.add_argument(
        "--speech", required=True, metavar="FOLDER",
        help="with 3_jackson_7.wav and the like (digit, speaker, take), or recordings/ or recordings.tar in it; takes "
        "0–4 are for testing, 5–9 for validation",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the pairing of images and recordings")
    parser.add_argument("--samples", type=int, metavar="N", help="use the first N training images (default: all)")


def _custom_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE",
        help="pickle, .npz, .safetensors or folder of .npy files; every key is a modality [N, T, features] or "
        "[N, features], but labels, ids, split and <modality>_lengths",
    )  # fmt: skip
    parser.add_argument(
        "--array", action="append", default=[], metavar="NAME=FILE.npy", help="a modality, instead of FILE; repeat it"
    )
    parser.add_argument("--labels", metavar="FILE.npy", help="[N], with --array")
    parser.add_argument("--ids", metavar="FILE.npy", help="[N] texts, with --array")
    parser.add_argument("--split", metavar="FILE.npy", help="[N] of train, valid and test, with --array")
    parser.add_argument("--name", default="custom", help="of the data set")
    parser.add_argument(
        "--task", choices=("classification", "sentiment", "regression"),
        help="default: classification where labels are whole numbers or texts, else regression; sentiment is "
        "regression that is judged by the sign",
    )  # fmt: skip
    parser.add_argument(
        "--standardise", nargs="+", metavar="NAME", help="modalities to standardise, or none (default: all)"
    )
    parser.add_argument("--valid", type=float, default=0.15, metavar="X", help="share, where the file has no splits")
    parser.add_argument("--test", type=float, default=0.15, metavar="X", help="share, where the file has no splits")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of these splits")


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    return int({"inspect": _inspect, "prepare": _prepare}[arguments.action](arguments) or 0)


def _inspect(arguments: argparse.Namespace) -> None:
    from vlalign.multibench.inspect import inspect_file, inspect_prepared
    from vlalign.multibench.prepared import is_prepared, open_prepared
    from vlalign.report.console import console
    from vlalign.report.multibench_data import show_inspection, show_prepared

    told: dict[str, Any]
    if is_prepared(arguments.file):
        told = inspect_prepared(open_prepared(arguments.file, verify=True))
        if not arguments.json:
            show_prepared(told, console(), verified=True)
    else:
        found = inspect_file(arguments.file)
        told = asdict(found)
        if not arguments.json:
            show_inspection(found, console())
    if arguments.json:
        print(json.dumps(told, indent=1))


def _prepare(arguments: argparse.Namespace) -> None:
    from vlalign.report.console import console
    from vlalign.report.multibench_data import show_written

    out = Path(arguments.out or f"multibench-data/{arguments.kind}")
    common = {"pool": arguments.pool, "force": arguments.force}
    if arguments.kind == "avmnist":
        from vlalign.multibench.avmnist import prepare_avmnist

        prepared = prepare_avmnist(
            arguments.images, arguments.speech, out, seed=arguments.seed, samples=arguments.samples, **common
        )
    elif arguments.kind == "custom":
        prepared = _prepare_custom(arguments, out, common)
    else:
        from vlalign.multibench.affect import prepare_affect

        prepared = prepare_affect(arguments.kind, arguments.file, out, **common)
    show_written(prepared, console())


def _prepare_custom(arguments: argparse.Namespace, out: Path, common: dict[str, Any]) -> Any:
    from vlalign.errors import VlalignError
    from vlalign.multibench.custom import prepare_custom, source_of_arrays

    source: Any = arguments.file
    if arguments.array:
        if arguments.file:
            raise VlalignError("give a FILE or --array, not both")
        pairs = [one.partition("=") for one in arguments.array]
        if odd := [one for one, (name, mark, path) in zip(arguments.array, pairs, strict=True) if not (name and path)]:
            raise VlalignError(f"--array {odd[0]}: give NAME=FILE.npy")
        names = [name for name, _, _ in pairs]
        if len(set(names)) < len(names):
            raise VlalignError(f"--array: {', '.join(names)}: give each name once")
        if not arguments.labels:
            raise VlalignError("--array needs --labels FILE.npy")
        files = {name: path for name, _, path in pairs}
        source = source_of_arrays(files, arguments.labels, arguments.split, arguments.ids)
    elif not arguments.file:
        raise VlalignError("give a FILE, or --array NAME=FILE.npy for each modality and --labels FILE.npy")
    elif given := [flag for flag in ("labels", "ids", "split") if getattr(arguments, flag)]:
        raise VlalignError(f"--{given[0]} goes with --array; a FILE has the key {given[0]}")
    standardise = [] if arguments.standardise == ["none"] else arguments.standardise
    return prepare_custom(
        source, out, name=arguments.name, task=arguments.task, standardise=standardise, valid=arguments.valid,
        test=arguments.test, seed=arguments.seed, **common,
    )  # fmt: skip


def main() -> int:
    """``python -m vlalign.cli.multibench`` and ``scripts/multibench.py``."""
    from vlalign.cli.app import run_verb

    return run_verb("multibench")


if __name__ == "__main__":
    sys.exit(main())
