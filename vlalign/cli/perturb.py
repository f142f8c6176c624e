"""Look at perturbed captions and images, measure what the edits do, and write or push edited data sets.

An operation without a rate of its own takes each of --rate; several operations are applied one after the other.

  vlalign perturb builtin:emoji --op char_delete --rate 10 50 90
  vlalign perturb pictures/ --op pixel_noise --op patch_delete:20,grid=8 --rate 10 30 --samples 4
  vlalign perturb minhuh/prh --op captions_file,file=edits.json --rate 10 100 --tokenizer llama-7b --no-sheet
  vlalign perturb builtin:emoji --op word_shuffle --rate 50 --seed 1 --out shuffled.parquet
  vlalign perturb minhuh/prh --op char_delete:30 --push you/wit-char-delete-30 --license cc-by-sa-3.0
  vlalign perturb --list
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlalign.data import PairedData
    from vlalign.perturb import ImageFacts, Perturbation, TextFacts

_IMAGES = 100  # that facts are measured on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    from vlalign.cli.common import add_data_arguments

    what = parser.add_argument_group("what")
    what.add_argument(
        "--op", action="append", default=[], metavar="NAME[:RATE][,PARAM=VALUE…]",
        help="operation (see --list); may be repeated, each is applied to what the one before left",
    )  # fmt: skip
    what.add_argument(
        "--rate", type=float, nargs="+", action="extend", default=[], metavar="R",
        help="percent of characters, words, captions, pixels or patches, 0 to 100",
    )  # fmt: skip
    what.add_argument("--seed", type=int, default=0, help="of the draws, for operations without a seed of their own")
    what.add_argument("--list", action="store_true", help="list the operations")
    add_data_arguments(parser, positional=True)
    shown = parser.add_argument_group("output")
    shown.add_argument("--samples", type=int, default=6, metavar="N", help="how many samples to show, spread evenly")
    shown.add_argument("--ids", nargs="+", metavar="ID", help="which samples to show instead")
    shown.add_argument("--sheet", default="perturbed.png", metavar="FILE", help="contact sheet of the samples shown")
    shown.add_argument("--no-sheet", dest="sheet", action="store_const", const=None, help="draw no contact sheet")
    shown.add_argument("--tokenizer", metavar="MODEL", help="also count the tokens of this text model")
    kept = parser.add_argument_group("the edited data set (id, text, image; takes one rate)")
    kept.add_argument("--out", metavar="FILE", help="write it as .parquet, with a card")
    kept.add_argument("--push", metavar="OWNER/NAME", help="push it to this data set of the Hub; made if not there")
    kept.add_argument("--private", action="store_true", help="make the pushed data set private")
    kept.add_argument("--force", action="store_true", help="push into a data set that holds something else")
    kept.add_argument("--license", dest="licence", metavar="ID", help="for its card, as the Hub spells it")
    kept.add_argument("--allow-empty", action="store_true", help="let it hold captions without any characters")


def run(arguments: argparse.Namespace) -> int:
    """Edits, shows, measures, and writes what was asked for."""
    from vlalign.errors import VlalignError
    from vlalign.hub.repo import check_name
    from vlalign.perturb import OPERATIONS, image_facts, notes, perturb_data, text_facts
    from vlalign.perturb.write import check_target
    from vlalign.report import perturb as report
    from vlalign.report.console import console

    out = console()
    if arguments.list:
        out.print(report.operations_table(OPERATIONS.values()))
        return 0
    if not arguments.data or not arguments.op:
        raise VlalignError("name a data set and at least one --op (vlalign perturb --list shows the operations)")
    if arguments.samples < 1:
        raise VlalignError(f"--samples is {arguments.samples}: show at least 1")
    versions = parse_versions(arguments.op, arguments.rate, arguments.seed)
    keep = bool(arguments.out or arguments.push)
    if keep and len(versions) != 1:
        flag = "--out writes" if arguments.out else "--push takes"
        raise VlalignError(f"{flag} one data set: give one --rate, not {len(versions)}")
    if arguments.push:
        check_name(arguments.push)
    edited = {perturbation.modality for one in versions.values() for perturbation in one}
    encode = None if arguments.tokenizer is None else tokens_of(arguments.tokenizer, edited)
    if arguments.sheet is not None:
        report.check_sheet(arguments.sheet, 0)
    data = open_for(arguments, edited)
    if arguments.out:
        check_target(data, arguments.out)
    rows = choose_rows(data, arguments.samples, arguments.ids)
    if arguments.sheet is not None and data.has_images:
        report.check_sheet(arguments.sheet, len(rows))
    allow = arguments.allow_empty or not keep  # to look at, an empty caption is no mistake
    made: dict[str, PairedData] = {"unedited": data}
    made |= {label: perturb_data(data, one, allow_empty=allow) for label, one in versions.items()}

    facts: dict[str, tuple[TextFacts | None, ImageFacts | None]] = {}
    told: list[str] = []
    looked = spread(data.n, _IMAGES)
    for label in versions:
        after = made[label]
        text = image = None
        if "text" in edited:
            text = text_facts(data.captions or [], after.captions or [], encode)
        if "vision" in edited:
            image = image_facts(after, looked)
        facts[label] = text, image
        told += notes(after, image)
    if "text" in edited:
        out.print(report.captions_table(made, rows))
    out.print(report.facts_table(facts))
    for note in dict.fromkeys(told):
        out.print(f"note  {note}", style="yellow")
    if arguments.sheet is not None and not data.has_images:
        out.print(f"no contact sheet: {data.name} has no images")
    elif arguments.sheet is not None:
        title = " + ".join(op.split(",file=")[0] for op in arguments.op) + f", {data.name}"
        path = report.save_sheet(made, rows, arguments.sheet, captions="text" in edited, title=title)
        out.print(f"sheet    {path}", soft_wrap=True)
    if keep:
        ((label, edits),) = versions.items()
        keep_edited(arguments, made[label], command_of(arguments, data, edits))
    return 0


def keep_edited(arguments: argparse.Namespace, edited: PairedData, command: str) -> None:
    """Write and push, as asked for; ``command`` is for the card."""
    from vlalign.cli.push import say_where
    from vlalign.hub.perturbed import push_perturbed, save_card
    from vlalign.perturb import write_perturbed
    from vlalign.report.console import console

    out, licence = console(), arguments.licence
    if arguments.out:
        path = write_perturbed(edited, arguments.out)
        out.print(f"data     {path}", soft_wrap=True)
        card = save_card(edited, path, command=command, licence=licence)
        out.print(f"card     {card}", soft_wrap=True)
    if arguments.push:
        done = push_perturbed(
            edited, arguments.push, command=command, licence=licence, private=arguments.private, force=arguments.force
        )
        say_where(done.url, done.commit)


def command_of(arguments: argparse.Namespace, data: PairedData, edits: Sequence[Perturbation]) -> str:
    """The command that writes the edited data set again; of files and folders of this machine it has the names only."""
    from vlalign.cli.common import data_spec
    from vlalign.data import DataSpec

    here = data.base is not None
    line = ["vlalign", "perturb", Path(arguments.data).name if here else arguments.data]
    spec = replace(data_spec(arguments), revision=data.revision)
    for flag, name in (
        ("data-revision", "revision"), ("data-config", "config"), ("split", "split"), ("image-column", "image_column"),
        ("text-column", "text_column"), ("id-column", "id_column"), ("caption", "caption"),
        ("max-samples", "max_samples"), ("on-bad-sample", "on_bad_sample"),
    ):  # fmt: skip
        if getattr(spec, name) != getattr(DataSpec(), name):
            line += [f"--{flag}", str(getattr(spec, name))]
    for edit in edits:
        file = edit.parameters.get("file")
        own = {**edit.parameters, "file": Path(str(file)).name} if file else edit.parameters
        line += ["--op", str(replace(edit, parameters=own))]
    line += ["--allow-empty"] if arguments.allow_empty else []
    return shlex.join([*line, "--out", "edited.parquet"])


def parse_versions(operations: Sequence[str], rates: Sequence[float], seed: int) -> dict[str, list[Perturbation]]:
    """The perturbations at each rate, by label: "10 %", or "edited" where every operation names its own rate.

    Raises:
        VlalignError: see ``parse_perturbation``; rates missing, or no operation that takes them.
    """
    from vlalign.errors import VlalignError
    from vlalign.perturb import check_perturbations, parse_perturbation

    if not rates:
        versions = {"edited": [parse_perturbation(text, seed=seed) for text in operations]}
    else:
        versions = {
            f"{rate:g} %": [parse_perturbation(text, rate=rate, seed=seed) for text in operations]
            for rate in dict.fromkeys(rates)
        }
        if len(versions) > 1 and len({tuple(map(str, one)) for one in versions.values()}) == 1:
            raise VlalignError("--rate changes nothing: every --op names a rate of its own")
    for one in versions.values():
        check_perturbations(one)
    return versions


def open_for(arguments: argparse.Namespace, edited: set[str]) -> PairedData:
    """The data set, opened for what is edited and, where there is something to do with it, the other modality too."""
    from vlalign.cli.common import data_spec
    from vlalign.data import available_modalities, open_data

    spec = data_spec(arguments)
    wanted = set(edited)
    if arguments.out or arguments.push or (arguments.sheet is not None and "vision" not in edited):
        wanted |= available_modalities(spec)
    return open_data(spec, wanted)


def choose_rows(data: PairedData, samples: int, ids: Sequence[str] | None) -> list[int]:
    """The rows to show: those of the ids, or so many spread evenly. Raises VlalignError for ids that are not there."""
    from vlalign.errors import VlalignError, did_you_mean

    if not ids:
        return spread(data.n, samples)
    places = {name: row for row, name in enumerate(data.ids)}
    if missing := [name for name in ids if name not in places]:
        hint = did_you_mean(missing[0], data.ids) or f"; its first is {data.ids[0]!r}"
        raise VlalignError(f"{data.name} has no sample {missing[0]!r}{hint}")
    return [places[name] for name in dict.fromkeys(ids)]


def spread(n: int, most: int) -> list[int]:
    """At most so many of the rows 0 … n−1, spread evenly.

    >>> spread(10, 4), spread(3, 4)
    ([0, 2, 5, 7], [0, 1, 2])
    """
    count = min(n, most)
    return [i * n // count for i in range(count)]


def tokens_of(model: str, edited: set[str]) -> Callable[[Sequence[str]], list[list[int]]]:
    """The function texts → token ids of a model; its weights are not loaded."""
    from vlalign.errors import VlalignError
    from vlalign.models.names import resolve
    from vlalign.models.source import locate
    from vlalign.models.tokenizer import load_tokenizer

    if "text" not in edited:
        raise VlalignError("--tokenizer counts tokens of captions, but no --op edits texts: leave it out")
    source = locate(resolve(model))
    if source.modality != "text":
        raise VlalignError(f"--tokenizer {model}: that is a {source.modality} model; name a text model")
    return load_tokenizer(source).encode


def main() -> int:
    """``python -m vlalign.cli.perturb`` and ``scripts/perturb.py``."""
    from vlalign.cli import run_verb

    return run_verb("perturb")


if __name__ == "__main__":
    sys.exit(main())
