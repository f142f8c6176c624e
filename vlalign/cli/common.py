"""Flags that several verbs share."""

from __future__ import annotations

import argparse


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name a data set and its columns."""
    data = parser.add_argument_group("data")
    what = "Hub data set, folder of images, .parquet/.arrow/.jsonl/.json/.csv/.tsv file, or builtin:emoji"
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
