"""Study alignment where redundancy, uniqueness and heterogeneity are known: synthetic data, thousands of encoders.

The data, the encoders and the findings are those of arXiv 2502.16282. What is finished is kept: `run` goes on after an
interruption, and with more seeds or depths.

  vlalign synthetic describe --uniqueness 3
  vlalign synthetic describe --synergy 2 --uniqueness 0 2 4
  vlalign synthetic run --config synthetic/quick.yaml
  vlalign synthetic report synthetic-runs/quick
  vlalign synthetic report synthetic-runs/paper --out synthetic
  accelerate launch scripts/synthetic.py run --config synthetic/paper.yaml
  vlalign synthetic data --uniqueness 3 --phi-depth 2 --out my-data
  vlalign synthetic tune --config synthetic/paper.yaml --out tuned.yaml
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlalign.synthetic import SyntheticConfig

#: what each action is for; what it is about is the first line of its help
_ACTIONS = {
    "describe": "the exact information of each U: no sampling, nothing is trained",
    "run": "train the grid and measure alignment; goes on where it stopped",
    "report": "figures, tables and RESULTS.md of a finished run",
    "data": "the samples of one U as a data set: saved, or pushed to the Hub",
    "tune": "search learning rates and weight decays as the paper did (needs optuna)",
}


def add_arguments(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The verb's actions and their flags; returns the parsers of the actions."""
    from vlalign.cli.fields import add_field_flags
    from vlalign.synthetic import SyntheticConfig

    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    made = {
        name: actions.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False,
            formatter_class=parser.formatter_class,
        )
        for name, text in _ACTIONS.items()
    }  # fmt: skip
    for name in _PARTS:
        made[name].add_argument(
            "--config", metavar="FILE", help="settings in YAML, by the names of these flags, which go first"
        )
        for title, names in _groups().items():
            if title in _PARTS[name]:
                shown = [one for one in names if one not in _LEFT_OUT.get(name, ())]
                add_field_flags(made[name].add_argument_group(title), SyntheticConfig, shown)
    made["describe"].add_argument("--json", action="store_true", help="print JSON instead of a table")
    made["run"].add_argument("--dry-run", action="store_true", help="check everything and say what is to train")
    report = made["report"]
    report.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="folder of a finished run (default: that of --config, else synthetic-runs/paper)",
    )
    report.add_argument("--config", metavar="FILE", help="the settings that the run was made with")
    report.add_argument("--metric", metavar="NAME", help="one of the run's metrics (default: its first)")
    report.add_argument(
        "--out",
        metavar="FOLDER",
        help="RESULTS.md goes there, table and figures in results/ (default: the run's folder)",
    )
    data = made["data"]
    data.add_argument("--uniqueness", type=int, required=True, metavar="U", help="of the samples")
    data.add_argument("--phi-depth", type=int, default=1, metavar="D", help="of φ")
    data.add_argument("--out", metavar="FOLDER", help="save the data set there")
    data.add_argument("--push", metavar="OWNER/NAME", help="push it to this data set of the Hub")
    data.add_argument("--private", action="store_true", help="make the pushed data set private")
    data.add_argument("--license", dest="licence", metavar="ID", help="of the data set (default: apache-2.0)")
    data.add_argument("--force", action="store_true", help="push into a data set that holds something else")
    tune = made["tune"]
    tune.add_argument("--trials", type=int, default=8, metavar="N", help="of each modality and U")
    tune.add_argument("--out", default="tuned.yaml", metavar="FILE", help="a file for `run --tuned`")
    return list(made.values())


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    return int({
        "describe": _describe, "run": _run, "report": _report, "data": _data, "tune": _tune
    }[arguments.action](arguments) or 0)  # fmt: skip


#: settings that an action has another flag for, or no use
_LEFT_OUT: dict[str, tuple[str, ...]] = {
    "data": ("uniqueness", "phi_depths"),
    "tune": ("out", "learning_rate", "weight_decay", "tuned", "ensemble"),
}
#: groups of flags that each action has
_PARTS = {
    "describe": ("distribution",),
    "run": ("distribution", "data", "encoders", "alignment", "running"),
    "data": ("distribution", "data"),
    "tune": ("distribution", "data", "encoders", "running"),
}


def _groups() -> dict[str, list[str]]:
    """The fields of the settings in groups."""
    from vlalign.synthetic import SyntheticConfig, Task

    names = [entry.name for entry in fields(SyntheticConfig)]
    task = [entry.name for entry in fields(Task)]
    ends = ["phi_on", "uniqueness", "depths", "metrics", "out"]
    starts = [names.index(name) for name in ends]
    return {
        "distribution": ["uniqueness", *task],
        "data": ["phi_depths", *names[starts[0] : starts[1]]],
        "encoders": names[starts[2] : starts[3]],
        "alignment": names[starts[3] : starts[4]],
        "running": names[starts[4] :],
    }


def _config(arguments: argparse.Namespace, **more: Any) -> SyntheticConfig:
    """The settings of the file under those of the flags."""
    from vlalign.cli.fields import given
    from vlalign.config import read_options
    from vlalign.synthetic import SyntheticConfig

    names = [name for title, part in _groups().items() if title in _PARTS[arguments.action] for name in part]
    values = read_options(SyntheticConfig, arguments.config) if arguments.config else {}
    if "alignment" not in _PARTS[arguments.action]:  # nothing is aligned: few samples will do
        more |= {"metrics": ("unbiased_cka",), "align_samples": 4}
    return SyntheticConfig(**(values | given(arguments, [name for name in names if name not in more]) | more))


def _describe(arguments: argparse.Namespace) -> None:
    from vlalign.report.console import console
    from vlalign.synthetic import information
    from vlalign.synthetic.report import describe_table

    config = _config(arguments)
    found = [information(config, u) for u in config.uniqueness]
    if arguments.json:
        print(json.dumps([one.summary() for one in found], indent=1))
    else:
        console().print(describe_table(found))


def _run(arguments: argparse.Namespace) -> None:
    from vlalign.report.console import console
    from vlalign.synthetic import SyntheticStudy
    from vlalign.synthetic.report import show_plan

    study = SyntheticStudy(_config(arguments))
    plan = study.plan()
    if study.is_main_process and not arguments.quiet:
        show_plan(study.config, plan, console())
    if arguments.dry_run:
        return
    result = study.run(plan, progress=not arguments.quiet, report=False)
    if result is not None:
        study.report(result, study.config.out, console())
        console().print(f"tables    {study.config.out}/alignment.csv, alignment.parquet, study.json", soft_wrap=True)


def _report(arguments: argparse.Namespace) -> None:
    from vlalign.config import read_options
    from vlalign.errors import VlalignError
    from vlalign.report.console import console
    from vlalign.synthetic import SyntheticConfig, SyntheticResult
    from vlalign.synthetic.report import write_report

    if arguments.run and arguments.config:
        raise VlalignError("give the folder of a run or --config, not both")
    settings = read_options(SyntheticConfig, arguments.config) if arguments.config else {}
    folder = arguments.run or SyntheticConfig(**settings).out
    result = SyntheticResult.load(folder)
    if arguments.metric not in (None, *result.metrics):
        raise VlalignError(f"--metric {arguments.metric}: the run has {', '.join(result.metrics)}")
    write_report(result, arguments.out or folder, console(), metric=arguments.metric)


def _data(arguments: argparse.Namespace) -> None:
    from vlalign.cli.push import show_target
    from vlalign.errors import VlalignError
    from vlalign.files import write_whole
    from vlalign.hub.repo import check_name
    from vlalign.hub.synthetic import card, push_synthetic
    from vlalign.report.console import console
    from vlalign.synthetic import make_data
    from vlalign.synthetic.export import save_datasets

    if not arguments.out and not arguments.push:
        raise VlalignError("nothing to do: name a folder with --out or a data set of the Hub with --push")
    if arguments.push:
        check_name(arguments.push)
    config = _config(arguments, uniqueness=(arguments.uniqueness,), phi_depths=(arguments.phi_depth,))
    data = make_data(config, arguments.uniqueness)
    if arguments.out:
        folder = save_datasets(data, arguments.phi_depth, arguments.out)
        write_whole(folder / "README.md", card(data, arguments.phi_depth, None, arguments.licence).encode())
        console().print(f"data      {folder}", soft_wrap=True)
    if arguments.push:
        done = push_synthetic(
            data, arguments.phi_depth, arguments.push, licence=arguments.licence, private=arguments.private,
            force=arguments.force,
        )  # fmt: skip
        show_target(done.url, done.commit)


def _tune(arguments: argparse.Namespace) -> None:
    from vlalign.report.console import console
    from vlalign.synthetic.report import tuned_table
    from vlalign.synthetic.tune import tune

    found = tune(_config(arguments), arguments.out, trials=arguments.trials, progress=not arguments.quiet)
    if found is not None:
        console().print(tuned_table(found))
        console().print(f"settings  {arguments.out}  (use them with `run --tuned {arguments.out}`)", soft_wrap=True)


def main() -> int:
    """``python -m vlalign.cli.synthetic`` and ``scripts/synthetic.py``."""
    from vlalign.cli import run_verb

    return run_verb("synthetic")


if __name__ == "__main__":
    sys.exit(main())
