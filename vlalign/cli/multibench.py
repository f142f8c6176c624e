"""Ask whether alignment predicts performance on MultiBench's data, or on yours: encoders of each modality are trained.

Data are inspected and prepared first: a prepared data set is a folder of checked, memory-mapped tensors, and pickles
are read without running anything in them. The encoders and the findings are those of arXiv 2502.16282. Finished work is
kept: `run` resumes after an interruption, and with more seeds or depths.

  vlalign multibench inspect mosi_raw.pkl
  vlalign multibench prepare mosi mosi_raw.pkl
  vlalign multibench prepare avmnist --images mnist --speech free-spoken-digit-dataset
  vlalign multibench prepare mmimdb mmimdb --out films
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

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from cyclopts import App, Parameter

from vlalign.cli.app import FROM_FILE, Flags, Quiet, SettingsFile
from vlalign.cli.output import FigureStyle, Json, TableKind, form_of, show_json, show_study
from vlalign.config import File, Folder, Options
from vlalign.errors import VlalignError
from vlalign.multibench.config import MultibenchConfig
from vlalign.tracking import Log, find_tracker

run = App(name="multibench")
prepare = App(name="prepare", help="Check a data set and write it as a folder that training reads.")
run.command(prepare)


@run.command
def inspect(file: str, /, *, json: Json = False) -> None:
    """Show what a file or prepared folder holds, and what preparing it will do.

    Args:
        file: pickle, .npz, .safetensors or folder of .npy files with train, valid and test, or a prepared folder
    """
    from dataclasses import asdict

    from vlalign.multibench.data.inspect import inspect_file, inspect_prepared
    from vlalign.multibench.data.prepared import is_prepared, open_prepared
    from vlalign.multibench.report import show_inspection, show_prepared
    from vlalign.report.console import console

    facts = inspect_prepared(open_prepared(file, verify=True)) if is_prepared(file) else inspect_file(file)
    if json:
        show_json(facts if isinstance(facts, dict) else asdict(facts))
    elif isinstance(facts, dict):
        show_prepared(facts, console(), verified=True)
    else:
        show_inspection(facts, console())


class PrepareOptions(Options):
    """Options of every data set that is prepared."""

    out: Folder | None = None
    """folder to write (default: multibench-data/ and the name of the data set)"""

    pool: Literal["cls", "mean"] | None = None
    """how encoders pool (default: the convention of the data set)"""

    force: bool = False
    """replace another data set in that folder"""

    def arguments(self, name: str) -> dict[str, Any]:
        """Return the options as arguments of a function that prepares the data set ``name``."""
        return {"folder": self.out or f"multibench-data/{name}", "pool": self.pool, "force": self.force}


_Prepare = Annotated[PrepareOptions, Flags]
_Share = Annotated[float, Gt(0), Lt(1)]


def _add_affect(name: str, about: str) -> None:
    def affect(file: str, /, *, options: _Prepare = PrepareOptions()) -> None:
        from vlalign.multibench.data.affect import prepare_affect
        from vlalign.multibench.report import show_written
        from vlalign.report.console import console

        show_written(prepare_affect(name, file, **options.arguments(name)), console())

    affect.__doc__ = f"""Prepare {about} from vision, audio and text.

    Args:
        file: MultiBench's processed pickle, .npz, .safetensors or folder of .npy files with train, valid and test
    """
    prepare.command(affect, name=name)


for _name, _about in (
    ("mosi", "CMU-MOSI: sentiment"),
    ("mosei", "CMU-MOSEI: sentiment"),
    ("urfunny", "UR-FUNNY: humour"),
    ("mustard", "MUStARD: sarcasm"),
):
    _add_affect(_name, _about)


@prepare.command
def avmnist(
    *,
    images: Folder,
    speech: Folder,
    seed: int = 0,
    samples: Annotated[int, Ge(1)] | None = None,
    options: _Prepare = PrepareOptions(),
) -> None:
    """Prepare MNIST with spoken digits (needs pip install 'vlalign[audio]').

    Args:
        images: folder with the four IDX files of MNIST
        speech: folder with 3_jackson_7.wav and the like (digit, speaker, take), or recordings/ or recordings.tar in it;
            takes 0–4 are for testing, 5–9 for validation
        seed: random seed of the pairing of images and recordings
        samples: use the first N training images (default: all)
    """
    from vlalign.multibench.data.avmnist import prepare_avmnist
    from vlalign.multibench.report import show_written
    from vlalign.report.console import console

    prepared = prepare_avmnist(images, speech, seed=seed, samples=samples, **options.arguments("avmnist"))
    show_written(prepared, console())


@prepare.command
def mmimdb(
    archive: Folder,
    /,
    *,
    out: Folder = "films",
    samples: Annotated[int, Ge(0)] = 1024,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Prepare posters, plots and genres of MM-IMDb for `vlalign extract` and `vlalign probe`.

    Args:
        archive: unpacked archive: folder with split.json and dataset/
        out: folder to write, which --data of `vlalign extract` takes
        samples: films of each split; 0 for all
        seed: random seed of the draw of films
        force: replace other films in that folder
    """
    from vlalign.multibench.data.films import prepare_films
    from vlalign.multibench.report import show_films
    from vlalign.report.console import console

    show_films(prepare_films(archive, out, samples or None, seed, force), console())


@prepare.command
def custom(
    file: str | None = None,
    /,
    *,
    array: tuple[Annotated[str, Parameter(metavar="NAME=FILE")], ...] = (),
    labels: File | None = None,
    ids: File | None = None,
    split: File | None = None,
    name: str = "custom",
    task: Literal["classification", "sentiment", "regression"] | None = None,
    standardise: tuple[Annotated[str, Parameter(metavar="NAME")], ...] = (),
    valid: _Share | None = None,
    test: _Share | None = None,
    seed: int = 0,
    options: _Prepare = PrepareOptions(),
) -> None:
    """Prepare two or more modalities of your own data.

    Args:
        file: pickle, .npz, .safetensors or folder of .npy files; every key is a modality [N, T, features] or
            [N, features], but labels, ids, split and <modality>_lengths
        array: a modality and its .npy (a name of letters, digits and _), or NAME_lengths: frames of each sample that
            are not padding
        labels: .npy with [N], with --array
        ids: .npy with [N] texts, with --array
        split: .npy with [N] of train, valid and test, with --array
        name: name of the data set
        task: default: classification if labels are whole numbers or texts, else regression; sentiment is regression
            judged by the sign
        standardise: modalities to standardise, or none (default: all)
        valid: share for validation, if the file has no splits (default: 0.15)
        test: share for testing, if the file has no splits (default: 0.15)
        seed: random seed of these splits
    """
    from vlalign.multibench.data.custom import prepare_custom, source_of_arrays
    from vlalign.multibench.report import show_written
    from vlalign.report.console import console

    source: Any = file
    given = [flag for flag, value in (("labels", labels), ("ids", ids), ("split", split)) if value]
    if array:
        pairs = [pair.partition("=") for pair in array]
        if file:
            raise VlalignError("give a FILE or --array, not both")
        if odd := [text for text, (key, _, path) in zip(array, pairs, strict=True) if not (key and path)]:
            raise VlalignError(f"--array {odd[0]}: give NAME=FILE.npy")
        names = [key for key, _, _ in pairs]
        if len(set(names)) < len(names):
            raise VlalignError(f"--array: {', '.join(names)}: give each name once")
        if not labels:
            raise VlalignError("--array needs --labels FILE.npy")
        source = source_of_arrays({key: path for key, _, path in pairs}, labels, split, ids)
    elif not file:
        raise VlalignError("give a FILE, or --array NAME=FILE.npy for each modality and --labels FILE.npy")
    elif given:
        raise VlalignError(f"--{given[0]} goes with --array; a FILE has the key {given[0]}")
    chosen = [] if standardise == ("none",) else list(standardise) or None
    prepared = prepare_custom(
        source, name=name, task=task, standardise=chosen, valid=valid, test=test, seed=seed,
        **options.arguments("custom"),
    )  # fmt: skip
    show_written(prepared, console())


@run.command(name="run")
def run_study(
    *,
    options: Annotated[MultibenchConfig | None, Flags] = None,
    config: Annotated[File | None, SettingsFile(MultibenchConfig), FROM_FILE] = None,
    dry_run: bool = False,
    log: Log = None,
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train encoders of every modality, measure alignment and write the report; resumes where it stopped.

    Args:
        dry_run: check everything, show what is to train and estimate time and disk
    """
    from vlalign.display.figures import figure_style
    from vlalign.multibench import MultibenchStudy
    from vlalign.multibench.report import plan_document, show_plan
    from vlalign.report.console import console

    tracker = find_tracker(log, "vlalign-multibench")
    form = form_of(json, table, dry_run)
    study = MultibenchStudy(options or MultibenchConfig())
    plan = study.plan()
    if study.is_main_process and dry_run and form == "json":
        show_json(plan_document(study, plan))
    elif study.is_main_process and not quiet and form == "text":
        show_plan(study, plan, console())
    if dry_run:
        return
    result = study.run(plan, progress=not quiet, report=False, tracker=tracker)
    if result is None:
        return
    with figure_style(style):
        study.report(result, study.config.out, console() if form == "text" else None)
    if form != "text":
        show_study(result, form)
    else:
        tables = "encoders.csv, alignment.csv, layers.csv, correlations.csv"
        console().print(f"tables    {study.config.out}/{tables}, each also as .parquet, study.json", soft_wrap=True)


@run.command
def report(
    *runs: Annotated[str, Parameter(required=True)],
    metric: str | None = None,
    out: Folder | None = None,
    style: FigureStyle = "screen",
    table: TableKind = None,
    json: Json = False,
) -> None:
    """Write figures, tables and page of a finished run, or one table of several runs.

    Args:
        runs: folder of a finished run; of several, Table 1
        metric: one of the runs' metrics (default: the first)
        out: folder to write to (default: the run's folder; needed for several)
    """
    from vlalign.display.figures import figure_style
    from vlalign.multibench import MultibenchResult, MultibenchStudy
    from vlalign.multibench.report import save_table1, show_table1, table1_text
    from vlalign.report.console import console

    form = form_of(json, table)
    results = [MultibenchResult.load(folder) for folder in runs]
    if len(results) == 1:
        with figure_style(style):
            MultibenchStudy.report(results[0], out or runs[0], console() if form == "text" else None, metric=metric)
        if form != "text":
            show_study(results[0], form, metric)
        return
    if not out:
        raise VlalignError("name a folder for the table of several runs with --out")
    files = save_table1(results, out, metric)
    if form != "text":
        print(table1_text(results, form, metric), end="")
        return
    show_table1(results, console(), metric)
    console().print(f"tables    {', '.join(map(str, files))}", soft_wrap=True)


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("multibench"))
