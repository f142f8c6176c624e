"""Compare two runs, or two score records, by their alignment with the same reference.

Runs of a store are tested on the same samples: interval and p-value of the difference, and the layers where it lies.
With several references there are q-values (false discovery rate).
Two records alone tell only whether their intervals overlap; with --store their runs are tested.

  vlalign compare llama-7b@5f93 llama-7b@861e --reference dinov2-small
  vlalign compare llama-7b open-llama-7b --store features --groups captions.csv
  vlalign compare llama-7b@5f93 llama-7b@0d2a --reference dinov2-small     # unedited captions against edited ones
  vlalign compare results/a.json results/b.json
  vlalign compare results/a.json results/b.json --store features --json difference.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord
    from vlalign.scoring.compare import Comparison
    from vlalign.store import FeatureStore, Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    for side in ("a", "b"):
        parser.add_argument(
            side, metavar=side.upper(),
            help="run: model name, or name@digits (see `vlalign runs`); or a record: its file, or a folder of one",
        )  # fmt: skip
    parser.add_argument("--store", metavar="FOLDER", help="feature store (default for runs: features)")
    parser.add_argument(
        "--reference", action="append", metavar="RUN",
        help="run that both are aligned with; may be repeated (default: all runs of the other modality)",
    )  # fmt: skip
    parser.add_argument("--metric", help="alignment metric (default: mutual_knn; of records: theirs)")
    parser.add_argument("--k", type=int, help="neighbours, for metrics that have them (default: 10)")
    parser.add_argument("--preset", help="platonic, cosine or none (default: platonic)")
    parser.add_argument(
        "--groups", metavar="FILE",
        help="samples that belong together, drawn as blocks, as for `vlalign score` (default: none; of records: theirs "
        "where these are exact)",
    )  # fmt: skip
    parser.add_argument("--concat", action="store_true", help="also score the concatenation of all layers")
    parser.add_argument("--half-samples", type=int, metavar="B", help="of the test (default: as for an interval)")
    parser.add_argument("--seed", type=int, help="of the half-samples (default: 0)")
    parser.add_argument("--device", help="where features are prepared")
    parser.add_argument("--json", metavar="FILE", help="write everything, matrices included")


def run(arguments: argparse.Namespace) -> int:
    """Compares, shows what may be said, and writes the file asked for."""
    from dataclasses import asdict

    from vlalign.errors import VlalignError
    from vlalign.paths import user_path
    from vlalign.report.compare import show_comparisons
    from vlalign.report.console import console
    from vlalign.scoring.record import write_json
    from vlalign.store.checksums import check_space

    if arguments.json:
        check_space(user_path(arguments.json).absolute().parent, 0)
    paths = [user_path(name) for name in (arguments.a, arguments.b)]
    files = [path.is_file() or (path.is_dir() and not arguments.reference) for path in paths]
    if files[0] != files[1]:
        name, other = (arguments.b, arguments.a) if files[0] else (arguments.a, arguments.b)
        raise VlalignError(f"{other} is a record, {name} is no file: give two records, or two runs of a store")
    if all(files):
        _check_flags(arguments)
        found = [_of_records(_record(paths[0]), _record(paths[1]), arguments)]
    else:
        found = _of_runs(arguments)
    show_comparisons(found, console())
    if arguments.json:
        if len(found) == 1:
            found[0].save(arguments.json)
        else:
            write_json(arguments.json, {"format": 1, "comparisons": [asdict(one) for one in found]}, "comparisons")
        console().print(f"written to {arguments.json}", soft_wrap=True)
    return 0


def _check_flags(arguments: argparse.Namespace) -> None:
    """Raises VlalignError for flags that two records leave nothing to do."""
    from vlalign.errors import VlalignError

    def given(*names: str) -> str | None:
        return next((name for name in names if getattr(arguments, name) not in (None, False)), None)

    if flag := given("reference", "metric", "k", "preset"):
        raise VlalignError(f"--{flag} is for runs: two records tell it themselves")
    if arguments.store is None and (flag := given("groups", "concat", "half_samples", "seed", "device")):
        raise VlalignError(f"--{flag.replace('_', '-')} is for the test of runs: name their store with --store")


def _of_records(a: ScoreRecord, b: ScoreRecord, arguments: argparse.Namespace) -> Comparison:
    """From the records alone, or from their runs in the store where one is named."""
    from vlalign.errors import VlalignError
    from vlalign.metrics.base import metric_text
    from vlalign.scoring.compare import compare_records, compare_runs, shared_sides
    from vlalign.store import FeatureStore

    found = compare_records(a, b, edits_may_differ=arguments.store is not None)
    if arguments.store is None:
        return found
    store = FeatureStore(arguments.store)
    runs = []
    for side in (found.a, found.b, found.reference):
        if not side["run"]:
            raise VlalignError(f"{side['model']} was scored from tensors: there is no run of it in {arguments.store}")
        runs.append(store.find(side["run"]["hash"]))
    return compare_runs(
        *runs, metric=metric_text(a.metric["name"], a.metric["params"]), preset=str(a.preprocessing["preset"]),
        reference_side=shared_sides(a, b)[0], groups=_groups(a, arguments),
        concat=arguments.concat or a.axes["x"][-1].get("index") == -1, half_samples=arguments.half_samples,
        seed=arguments.seed or 0, device=arguments.device,
    )  # fmt: skip


def _groups(record: ScoreRecord, arguments: argparse.Namespace) -> str | None:
    """The groups to test with: a record says how many there are, but which samples only where they are exact."""
    from vlalign.errors import VlalignError
    from vlalign.scoring.grouping import EXACT

    told = record.pairing.get("groups")
    if arguments.groups is not None or told is None:
        return None if arguments.groups is None else str(arguments.groups)
    if told.get("source") == EXACT:
        return "exact"
    raise VlalignError(f"the records are of samples in groups ({told.get('source')}): give them with --groups FILE")


def _record(path: Path) -> ScoreRecord:
    from vlalign.errors import VlalignError
    from vlalign.scoring.collect import read_record, record_files

    files = record_files(path)
    if len(files) > 1:
        raise VlalignError(f"{path} holds {len(files)} records: name the file of one")
    return read_record(files[0])


def _of_runs(arguments: argparse.Namespace) -> list[Comparison]:
    from vlalign.errors import VlalignError
    from vlalign.scoring.compare import adjust, compare_runs
    from vlalign.store import FeatureStore

    store = FeatureStore(arguments.store or "features")
    a, b = store.find(arguments.a), store.find(arguments.b)
    if a.key == b.key:
        raise VlalignError(f"{arguments.a} and {arguments.b} are the same run: name two")
    if arguments.reference:
        references = list({run.key.hash: run for run in map(store.find, arguments.reference)}.values())
    elif a.key.modality != b.key.modality:
        raise VlalignError(
            f"{a.key.title} is a {a.key.modality} model and {b.key.title} a {b.key.modality} model: name what both are "
            "compared with by --reference"
        )
    else:
        references = _references(store, a)
    for one in references:
        if one.key in (a.key, b.key):
            raise VlalignError(f"the reference {one.key.title} is one of the two runs: name a third one")
    found = [
        compare_runs(
            a, b, reference, metric=arguments.metric or "mutual_knn", k=10 if arguments.k is None else arguments.k,
            preset=arguments.preset or "platonic", groups=arguments.groups,
            concat=arguments.concat, half_samples=arguments.half_samples, seed=arguments.seed or 0,
            reference_side="y" if a.key.modality == "vision" and reference.key.modality == "text" else "x",
            device=arguments.device,
        )
        for reference in references
    ]  # fmt: skip
    return adjust(found) if len(found) > 1 else found


def _references(store: FeatureStore, a: Run) -> list[Run]:
    """The runs of unedited data of the other modality."""
    from vlalign.errors import VlalignError

    found = [run for run in store.runs() if run.key.modality != a.key.modality and not run.key.edits]
    if not found:
        raise VlalignError(f"{store.root} holds no run of the other modality: name a reference with --reference")
    return found


def main() -> int:
    """``python -m vlalign.cli.compare`` and ``scripts/compare.py``."""
    from vlalign.cli import run_verb

    return run_verb("compare")


if __name__ == "__main__":
    sys.exit(main())
