"""Does alignment tell performance on MultiBench's data, or on yours? Train encoders of each modality and see.

Data are looked at and prepared first: a prepared data set is a folder of checked, memory-mapped tensors, and pickles
are read without running anything in them. The encoders and the findings are those of arXiv 2502.16282. What is finished
is kept: `run` goes on after an interruption, and with more seeds or depths.

  vlalign multibench inspect mosi_raw.pkl
  vlalign multibench prepare mosi mosi_raw.pkl
  vlalign multibench prepare avmnist --images mnist --speech free-spoken-digit-dataset
  vlalign multibench prepare custom data.npz --out my-data
  vlalign multibench prepare custom --array image=images.npy --array audio=sounds.npy --labels labels.npy
  vlalign multibench inspect multibench-data/mosi
  vlalign multibench run --data my-data --depths 1 2 3 4 5 6 --epochs 20
  vlalign multibench run --config multibench/avmnist-quick.yaml
  vlalign multibench report multibench-runs/avmnist-quick
  vlalign multibench report multibench-runs/mosi-paper multibench-runs/mosei-paper --out table1
  accelerate launch scripts/multibench.py run --config multibench/mosi-paper.yaml
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

#: what each action is for
_ACTIONS = {
    "inspect": "what a file or prepared folder holds, and what preparing it will do",
    "prepare": "check a data set and write it as a folder that training reads",
    "run": "train encoders of every modality and measure alignment; goes on where it stopped",
    "report": "figures, tables and page of a finished run, or one table of several runs",
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
    _run_flags(made["run"])
    report = made["report"]
    report.add_argument("runs", nargs="+", metavar="RUN", help="folder of a finished run; of several, Table 1")
    report.add_argument("--metric", metavar="NAME", help="one of the runs' metrics (default: the first)")
    report.add_argument("--out", metavar="FOLDER", help="to write to (default: the run's folder; needed for several)")
    return [*made.values(), *parsers.values()]


def _run_flags(parser: argparse.ArgumentParser) -> None:
    from vlalign.cli.fields import add_field_flags
    from vlalign.multibench import MultibenchConfig

    parser.add_argument(
        "--config", metavar="FILE", help="settings in YAML, by the names of these flags, which go first"
    )
    for title, names in _groups().items():
        add_field_flags(parser.add_argument_group(title), MultibenchConfig, names)
    parser.add_argument("--dry-run", action="store_true", help="check everything and say what is to train")


def _groups() -> dict[str, list[str]]:
    """The fields of the settings in groups."""
    from vlalign.multibench import MultibenchConfig

    names = [entry.name for entry in fields(MultibenchConfig)]
    starts = [*(names.index(name) for name in ("data", "depths", "metrics", "out")), len(names)]
    titles = ("data", "encoders", "alignment", "running")
    return {title: names[a:b] for title, a, b in zip(titles, starts, starts[1:], strict=False)}


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
        "--array",
        action="append",
        default=[],
        metavar="NAME=FILE.npy",
        help="a modality (a name of letters, digits and _), or NAME_lengths: frames of each sample that are no padding",
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
    parser.add_argument("--valid", type=float, metavar="X", help="share, where the file has no splits (default: 0.15)")
    parser.add_argument("--test", type=float, metavar="X", help="share, where the file has no splits (default: 0.15)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of these splits")


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    actions = {"inspect": _inspect, "prepare": _prepare, "run": _run, "report": _report}
    return int(actions[arguments.action](arguments) or 0)


def _inspect(arguments: argparse.Namespace) -> None:
    from vlalign.multibench.data.inspect import inspect_file, inspect_prepared
    from vlalign.multibench.data.prepared import is_prepared, open_prepared
    from vlalign.multibench.report import show_inspection, show_prepared
    from vlalign.report.console import console

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
    from vlalign.multibench.report import show_written
    from vlalign.report.console import console

    out = Path(arguments.out or f"multibench-data/{arguments.kind}")
    common = {"pool": arguments.pool, "force": arguments.force}
    if arguments.kind == "avmnist":
        from vlalign.multibench.data.avmnist import prepare_avmnist

        prepared = prepare_avmnist(
            arguments.images, arguments.speech, out, seed=arguments.seed, samples=arguments.samples, **common
        )
    elif arguments.kind == "custom":
        prepared = _prepare_custom(arguments, out, common)
    else:
        from vlalign.multibench.data.affect import prepare_affect

        prepared = prepare_affect(arguments.kind, arguments.file, out, **common)
    show_written(prepared, console())


def _prepare_custom(arguments: argparse.Namespace, out: Path, common: dict[str, Any]) -> Any:
    from vlalign.errors import VlalignError
    from vlalign.multibench.data.custom import prepare_custom, source_of_arrays

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


def _run(arguments: argparse.Namespace) -> None:
    from vlalign.cli.fields import given
    from vlalign.config import read_options
    from vlalign.multibench import MultibenchConfig, MultibenchStudy
    from vlalign.multibench.report import show_plan
    from vlalign.report.console import console

    values = read_options(MultibenchConfig, arguments.config) if arguments.config else {}
    names = [name for group in _groups().values() for name in group]
    study = MultibenchStudy(MultibenchConfig(**(values | given(arguments, names))))
    plan = study.plan()
    if study.is_main_process and not arguments.quiet:
        show_plan(study, plan, console())
    if arguments.dry_run:
        return
    result = study.run(plan, progress=not arguments.quiet, report=False)
    if result is not None:
        study.report(result, study.config.out, console())
        tables = "encoders.csv, alignment.csv, layers.csv, correlations.csv"
        console().print(f"tables    {study.config.out}/{tables}, each also as .parquet, study.json", soft_wrap=True)


def _report(arguments: argparse.Namespace) -> None:
    from vlalign.errors import VlalignError
    from vlalign.multibench import MultibenchResult
    from vlalign.multibench.report import save_table1, show_table1, write_report
    from vlalign.report.console import console

    results = [MultibenchResult.load(run) for run in arguments.runs]
    if len(results) > 1:
        if not arguments.out:
            raise VlalignError("name a folder for the table of several runs with --out")
        files = save_table1(results, arguments.out, arguments.metric)
        show_table1(results, console(), arguments.metric)
        console().print(f"tables    {', '.join(map(str, files))}", soft_wrap=True)
        return
    write_report(results[0], arguments.out or arguments.runs[0], console(), metric=arguments.metric)


def main() -> int:
    """``python -m vlalign.cli.multibench`` and ``scripts/multibench.py``."""
    from vlalign.cli import run_verb

    return run_verb("multibench")


if __name__ == "__main__":
    sys.exit(main())
