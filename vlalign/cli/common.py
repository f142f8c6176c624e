"""Flags that several verbs share."""

from __future__ import annotations

import argparse

from vlalign.data import DataSpec


def add_data_arguments(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    """The flags that name a data set and its columns; ``positional``: the data set itself is no flag."""
    data = parser.add_argument_group("data")
    what = "Hub data set, folder of images, .parquet/.arrow/.jsonl/.json/.csv/.tsv file, or builtin:emoji"
    if positional:
        data.add_argument("data", nargs="?", metavar="DATASET", help=what)
    else:
        data.add_argument("--data", default="minhuh/prh", metavar="SOURCE", help=what)
    data.add_argument(
        "--data-revision", metavar="REV", help="branch, tag or commit (default: wit_1024 for minhuh/prh, else main)"
    )
    data.add_argument("--data-config", metavar="NAME", help="configuration of a Hub data set that has several")
    data.add_argument("--split", default="train", help="split of the data set")
    data.add_argument("--image-column", metavar="NAME", help="default: found by type and usual names")
    data.add_argument("--text-column", metavar="NAME", help="default: found by usual names")
    data.add_argument("--id-column", metavar="NAME", help="default: `id`, file names of image folders, or row numbers")
    data.add_argument(
        "--caption", type=int, default=0, metavar="I", help="which caption, where a sample has a list of them"
    )
    data.add_argument("--max-samples", type=int, metavar="N", help="use the first N samples only")
    data.add_argument(
        "--on-bad-sample", default="error", choices=("error", "skip"),
        help="a broken image or empty caption: stop, or leave it out and record that",
    )  # fmt: skip


def data_spec(arguments: argparse.Namespace) -> DataSpec:
    """The data set that the flags name."""
    return DataSpec(
        source=arguments.data,
        revision=arguments.data_revision,
        config=arguments.data_config,
        split=arguments.split,
        image_column=arguments.image_column,
        text_column=arguments.text_column,
        id_column=arguments.id_column,
        caption=arguments.caption,
        max_samples=arguments.max_samples,
        on_bad_sample=arguments.on_bad_sample,
    )
