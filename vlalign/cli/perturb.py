"""Show perturbed captions and images, measure the effect of the edits, and write or push edited data sets.

An operation without a rate takes each of --rate; several operations are applied one after the other.

  vlalign perturb builtin:emoji --op char_delete --rate 10 50 90
  vlalign perturb pictures/ --op pixel_noise --op patch_delete:20,grid=8 --rate 10 30 --samples 4
  vlalign perturb minhuh/prh --op captions_file,file=edits.json --rate 10 100 --tokenizer llama-7b --no-sheet
  vlalign perturb builtin:emoji --op word_shuffle --rate 50 --seed 1 --out shuffled.parquet
  vlalign perturb minhuh/prh --op char_delete:30 --push you/wit-char-delete-30 --license cc-by-sa-3.0
  vlalign perturb --list
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Interval
from cyclopts import Group, Parameter

from vlalign.cli.app import Flags
from vlalign.cli.push import PushOptions, show_target
from vlalign.config import File, command_words
from vlalign.data.spec import DataSpec
from vlalign.errors import VlalignError, did_you_mean

if TYPE_CHECKING:
    from vlalign.data import PairedData
    from vlalign.perturb import ImageFacts, Perturbation, TextFacts

_EDITED = Group("Edited data set", sort_key=2)
_IMAGES = 100  # that facts are measured on


class EditedOptions(PushOptions):
    """Options of the edited data set that is written or pushed."""

    out: File | None = None
    """write the edited data set (id, text, image; one rate) as .parquet, with a card"""

    allow_empty: bool = False
    """let it hold captions without any characters"""


def run(
    data: Annotated[DataSpec | None, Flags] = None,
    *,
    op: tuple[str, ...] = (),
    rate: tuple[Annotated[float, Interval(ge=0, le=100), Parameter(metavar="PERCENT")], ...] = (),
    seed: Annotated[int, Ge(0)] = 0,
    list_: Annotated[bool, Parameter(name="--list")] = False,
    samples: Annotated[int, Ge(1)] = 6,
    ids: Annotated[tuple[str, ...], Parameter(metavar="ID...")] = (),
    sheet: File = "perturbed.png",
    no_sheet: bool = False,
    tokenizer: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    edited: Annotated[EditedOptions, Flags, Parameter(group=_EDITED)] = EditedOptions(),
) -> None:
    """Edit, show, measure, and write what was asked for.

    Args:
        op: operation NAME[:RATE][,PARAM=VALUE…] (see --list); each is applied to the result of the one before
        rate: percent of characters, words, captions, pixels or patches, 0 to 100
        seed: random seed, for operations without one
        list_: list the operations
        samples: number of samples to show, spread evenly
        ids: ids of the samples to show instead
        sheet: contact sheet of the samples shown
        no_sheet: draw no contact sheet
        tokenizer: also count the tokens of this text model
    """
    from vlalign.data.open import available_modalities, open_data
    from vlalign.hub.repo import check_name
    from vlalign.perturb import OPERATIONS, image_facts, notes, perturb_data, text_facts
    from vlalign.perturb.write import check_target
    from vlalign.report import perturb as report
    from vlalign.report.console import console

    out = console()
    if list_:
        out.print(report.operations_table(OPERATIONS.values()))
        return
    if data is None or not op:
        raise VlalignError("name a data set and at least one --op (vlalign perturb --list shows the operations)")
    versions = parse_versions(op, rate, seed)
    keep = bool(edited.out or edited.push)
    if keep and len(versions) != 1:
        flag = "--out writes" if edited.out else "--push takes"
        raise VlalignError(f"{flag} one data set: give one --rate, not {len(versions)}")
    if edited.push:
        check_name(edited.push)
    modalities = {perturbation.modality for edits in versions.values() for perturbation in edits}
    encode = None if tokenizer is None else tokens_of(tokenizer, modalities)
    if not no_sheet:
        report.check_sheet(sheet, 0)
    wanted = set(modalities)
    if keep or (not no_sheet and "vision" not in modalities):
        wanted |= available_modalities(data)
    source = open_data(data, wanted)
    if edited.out:
        check_target(source, edited.out)
    rows = choose_rows(source, samples, ids)
    if not no_sheet and source.has_images:
        report.check_sheet(sheet, len(rows))
    allow = edited.allow_empty or not keep  # to look at, an empty caption is no mistake
    made: dict[str, PairedData] = {"unedited": source}
    made |= {label: perturb_data(source, edits, allow_empty=allow) for label, edits in versions.items()}

    facts: dict[str, tuple[TextFacts | None, ImageFacts | None]] = {}
    messages: list[str] = []
    looked = spread(source.n, _IMAGES)
    for label in versions:
        after = made[label]
        text = image = None
        if "text" in modalities:
            text = text_facts(source.captions or [], after.captions or [], encode)
        if "vision" in modalities:
            image = image_facts(after, looked)
        facts[label] = text, image
        messages += notes(after, image)
    if "text" in modalities:
        out.print(report.captions_table(made, rows))
    out.print(report.facts_table(facts))
    for note in dict.fromkeys(messages):
        out.print(f"note  {note}", style="yellow")
    if not no_sheet and not source.has_images:
        out.print(f"no contact sheet: {source.name} has no images")
    elif not no_sheet:
        title = " + ".join(name.split(",file=")[0] for name in op) + f", {source.name}"
        path = report.save_sheet(made, rows, sheet, captions="text" in modalities, title=title)
        out.print(f"sheet    {path}", soft_wrap=True)
    if keep:
        ((label, edits),) = versions.items()
        command = command_of(replace(data, revision=source.revision), source, edits, edited.allow_empty)
        keep_edited(edited, made[label], command)


def keep_edited(options: EditedOptions, edited: PairedData, command: str) -> None:
    """Write and push, as asked for; ``command`` is for the card."""
    from vlalign.hub.perturbed import push_perturbed, save_card
    from vlalign.perturb import write_perturbed
    from vlalign.report.console import console

    out, licence = console(), options.licence
    if options.out:
        path = write_perturbed(edited, options.out)
        out.print(f"data     {path}", soft_wrap=True)
        card = save_card(edited, path, command=command, licence=licence)
        out.print(f"card     {card}", soft_wrap=True)
    if options.push:
        pushed = push_perturbed(
            edited, options.push, command=command, licence=licence, private=options.private, force=options.force
        )
        show_target(pushed.url, pushed.commit)


def command_of(spec: DataSpec, data: PairedData, edits: Sequence[Perturbation], allow_empty: bool) -> str:
    """Return the command that writes the edited data set again; local files and folders are named without path."""
    name = spec.source if data.base is None else Path(spec.source).name
    words = ["vlalign", "perturb", name, *command_words(spec, skip=["source"])]
    for edit in edits:
        file = edit.parameters.get("file")
        parameters = {**edit.parameters, "file": Path(str(file)).name} if file else edit.parameters
        words += ["--op", str(replace(edit, parameters=parameters))]
    words += ["--allow-empty"] if allow_empty else []
    return shlex.join([*words, "--out", "edited.parquet"])


def parse_versions(operations: Sequence[str], rates: Sequence[float], seed: int) -> dict[str, list[Perturbation]]:
    """Return the perturbations at each rate, by label: "10 %", or "edited" where every operation names its rate.

    Raises:
        VlalignError: see ``parse_perturbation``; rates missing, or no operation that takes them.
    """
    from vlalign.perturb import check_perturbations, parse_perturbation

    if not rates:
        versions = {"edited": [parse_perturbation(text, seed=seed) for text in operations]}
    else:
        versions = {
            f"{rate:g} %": [parse_perturbation(text, rate=rate, seed=seed) for text in operations]
            for rate in dict.fromkeys(rates)
        }
        if len(versions) > 1 and len({tuple(map(str, one)) for one in versions.values()}) == 1:
            raise VlalignError("--rate changes nothing: every --op names a rate")
    for one in versions.values():
        check_perturbations(one)
    return versions


def choose_rows(data: PairedData, samples: int, ids: Sequence[str] | None) -> list[int]:
    """Return the rows to show: those of the ids, or ``samples`` spread evenly.

    Raises:
        VlalignError: an id that the data set lacks.
    """
    if not ids:
        return spread(data.n, samples)
    places = {name: row for row, name in enumerate(data.ids)}
    if missing := [name for name in ids if name not in places]:
        hint = did_you_mean(missing[0], data.ids) or f"; its first is {data.ids[0]!r}"
        raise VlalignError(f"{data.name} has no sample {missing[0]!r}{hint}")
    return [places[name] for name in dict.fromkeys(ids)]


def spread(n: int, most: int) -> list[int]:
    """Return at most ``most`` of the rows 0 … n−1, spread evenly.

    >>> spread(10, 4), spread(3, 4)
    ([0, 2, 5, 7], [0, 1, 2])
    """
    count = min(n, most)
    return [i * n // count for i in range(count)]


def tokens_of(model: str, edited: set[str]) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return the function from texts to token ids of a model; its weights are not loaded."""
    from vlalign.models.registry import resolve
    from vlalign.models.source import locate
    from vlalign.models.tokenizer import load_tokenizer

    if "text" not in edited:
        raise VlalignError("--tokenizer counts tokens of captions, but no --op edits texts: leave it out")
    source = locate(resolve(model))
    if source.modality != "text":
        raise VlalignError(f"--tokenizer {model}: that is a {source.modality} model; name a text model")
    return load_tokenizer(source).encode


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("perturb"))
