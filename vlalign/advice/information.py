"""Information of both modalities about the label, on the samples of the experiment: what explains its verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlalign.advice.data import PairedData
from vlalign.display.format import number
from vlalign.errors import VlalignError
from vlalign.files import parse_json
from vlalign.stats.null import generator

FILE = "information.json"
_MOST = 5000  # samples that are used; more would take longer than the experiment


def estimate(data: PairedData, folder: Path) -> dict[str, Any]:
    """Return the record of :func:`vlalign.information`, of at most 5,000 samples; kept in the study's folder.

    A regression target is divided into parts of equally many samples. A record that is there is read again: the data of
    a folder do not change.

    Returns:
        The record, or ``refused`` with the reason: too many classes, too few samples of one, or groups of several.

    Raises:
        VlalignError: the file cannot be written.
    """
    from vlalign.decomposition import information

    path = folder / FILE
    try:
        kept = parse_json(path.read_bytes())
        if "estimates" in kept:
            return dict(kept)
    except (OSError, ValueError, TypeError):
        pass  # missing or damaged
    rows = generator("advice information", len(data)).permutation(len(data))[:_MOST]
    y, groups = data.target[rows], {"groups": data.group[rows]} if len(data.group) else {}
    if not data.classes:
        y = y.double() * (1 + 2**-40)  # whole numbers would be taken as classes; the parts are the same
    try:
        result = information(data.x[0][rows], data.x[1][rows], y, **groups)
    except VlalignError as error:
        return {"refused": str(error)}
    result.save(path)
    return result.as_dict()


def part(record: Mapping[str, Any], name: str, where: str) -> str:
    """Return a value of a record in words, with where the information is.

    >>> one = {"value": 0.5, "detected": True}
    >>> part({"estimates": {"U1": one}, "units": "bits"}, "U1", "image alone")
    'image alone 0.50 bits'
    """
    one = record["estimates"][name]
    return f"{where} {number(one['value'], 2)} {record['units']}" if one["detected"] else f"{where} none detected"
