"""Validation of loaded score records."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError, create_model

from vlalign.errors import VlalignError
from vlalign.scoring.record import ScoreRecord
from vlalign.store.key import RunKey

_TOLERANCE = 1e-9  # between the best score and its place in the matrix
_LONGEST = 80  # characters of a value in an error

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**53)]  # a float distinguishes it from the next one


def object_schema(**entries: Any) -> Any:
    """Make a strict schema of a JSON object from the types of its entries; entries in a list may be missing."""
    config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
    fields: Any = {name: (kind[0], None) if isinstance(kind, list) else kind for name, kind in entries.items()}
    return create_model("Part", __config__=config, **fields)


def list_schema(item: Any, least: int = 0) -> Any:
    """Make a schema of a list of at least ``least`` items."""
    return Annotated[list[item], Field(min_length=least)]


_RUN = object_schema(hash=str, key=object_schema(perturbations=[list[Any] | None]))
_NORMS = object_schema(
    layer=str, ratio=float, share=float, position=Count, position_share=Share, token=str | None, token_share=Share
)
_SIDE = object_schema(
    model=Annotated[str, Field(min_length=1)], modality=[str | None], run=_RUN | None,
    norms=[list_schema(_NORMS, least=1) | None],
)  # fmt: skip
_LAYERS = list_schema(object_schema(name=str, index=Annotated[int, Field(ge=-(2**53), le=2**53)]), least=1)
_BEST = object_schema(position=Count)
_MEAN = [object_schema(mean=float) | None]
_POINT = object_schema(
    at=Annotated[float, Field(gt=0)],
    k=[Count | None],
    chance=[float | None],
    largest=_MEAN,
    largest_corrected=_MEAN,
    fixed=_MEAN,
    fixed_corrected=_MEAN,
)
_EXPLAINED = object_schema(**dict.fromkeys(("score", "share", "low", "high"), float | None))
_CONFOUNDS = list_schema(object_schema(name=str, categories=[Count], samples=[Count], explained=_EXPLAINED))
_WITHIN = list_schema(
    object_schema(
        name=str, cut=bool, categories=Count, alone=Count, p_value=Share, permutations=Count, stopped=bool, mean=float,
        max=float, explained=_EXPLAINED,
    )
)  # fmt: skip
_NULL = object_schema(
    within=[_WITHIN],
    p_value=Share, permutations=Count, stopped=bool, calibrated=float | None, asked=[Count | None],
    method=[str], p_least=[Share], blocks=[Count | None], alpha=[Share], maxima=[list[float]],
    **{name: [float] for name in ("mean", "sd", "q5", "q50", "q95", "q99", "max", "threshold", "pair_mean")},
)  # fmt: skip
_MOMENTS = object_schema(
    mean=[float], sd=[float | None], z=[float | None], p_value=[Share | None], p_selected=[Share | None]
)
_SEARCH = object_schema(method=str, rows=Count, recall=object_schema(x=Share, y=Share))
_LOSS = [dict[str, float | None] | None]
_RECORD = object_schema(
    x=_SIDE,
    y=_SIDE,
    metric=object_schema(name=str, params=dict[str, Any]),
    preprocessing=object_schema(preset=str, clip_quantile=[float | None], neighbours=[_SEARCH]),
    pairing=object_schema(groups=[dict[str, Any] | None], positives=[dict[str, Any] | None]),
    n=Annotated[int, Field(ge=1, le=2**53)],
    axes=object_schema(x=_LAYERS, y=_LAYERS),
    matrix=list[list[float]],
    best=object_schema(x=_BEST, y=_BEST, score=float),
    chance=float | None,
    moments=_MOMENTS | None,
    null=_NULL | None,
    interval=object_schema(low=float, high=float, level=[Share], count=[Count], observed=[float], sd=[float]) | None,
    curves=dict[str, object_schema(points=list_schema(_POINT))] | None,  # type: ignore[misc]
    checks=object_schema(x=[dict[str, Any]], y=[dict[str, Any]], notes=[list[str]], confounds=[_CONFOUNDS]),
    performance=object_schema(x=_LOSS, y=_LOSS),
    environment=dict[str, Any],
    seconds=dict[str, float],
)


def validate_record(record: ScoreRecord) -> None:
    """Validate a loaded score record; readers of a valid one may rely on its types and shapes.

    Raises:
        VlalignError: the first problem, on one line.
    """
    values = {name: value for name, value in vars(record).items() if not name.startswith("_")}
    try:
        json.dumps(values, allow_nan=False)
        finite = _is_finite(values)
    except (ValueError, TypeError):
        finite = False
    except RecursionError:
        raise VlalignError("it is nested too deeply") from None
    if not finite:
        raise VlalignError("it holds a value that is not finite or too large")
    validate(_RECORD, values)
    for side in ("x", "y"):
        _check_side(record, side)
    if record.interval is not None and record.interval["low"] > record.interval["high"]:
        low, high = record.interval["low"], record.interval["high"]
        raise VlalignError(f"interval is from {low} to {high}: its low end lies above")
    _check_grid(record)


def validate(schema: Any, value: Any) -> None:
    """Validate JSON values by an :func:`object_schema`.

    Raises:
        VlalignError: the first problem, on one line.
    """
    try:
        schema.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "missing":
            raise VlalignError(f"it lacks {where}") from error
        message = re.sub(r"valid dictionary( or instance of \w+)?", "JSON object", problem["msg"])
        message = re.sub("^(Input|String)", "it", message)
        raise VlalignError(f"{where} is {short(problem['input'])}, but {message}") from error


def short(value: object) -> str:
    """Return a value on one line of an error, cut if it is long."""
    text = " ".join((repr(value) if isinstance(value, str) else str(value)).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _check_side(record: ScoreRecord, side: str) -> None:
    run, axis, best = getattr(record, side)["run"], record.axes[side], record.best[side]
    if run is not None:
        try:
            digest = RunKey(run["key"]).hash
        except VlalignError as error:
            raise VlalignError(f"{side}.run: {error}") from error
        if digest != run["hash"]:
            raise VlalignError(f"{side}.run: the hash is not that of the key, so one of them was changed")
    if best["position"] >= len(axis):
        raise VlalignError(f"best.{side} names no layer of axes.{side}")
    if best.get("name") != (name := axis[best["position"]]["name"]):
        raise VlalignError(f"best.{side} has another name than axes.{side} at its position, {name}")


def _check_grid(record: ScoreRecord) -> None:
    """Check that the matrix fits the axes, and that the best score is its largest value, at the position it names."""
    rows, columns = len(record.axes["x"]), len(record.axes["y"])
    matrix = record.matrix
    if len(matrix) != rows or any(len(row) != columns for row in matrix):
        raise VlalignError(f"its matrix is not {rows} × {columns}, as its axes state")
    score, at = record.best["score"], matrix[record.best["x"]["position"]][record.best["y"]["position"]]
    if not math.isclose(score, at, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        raise VlalignError(f"best.score is {score}, but its matrix has {at} at that position")
    # layers that give all samples the same features score 0 with every layer and are never selected, not even above
    # negative scores
    across = [any(column) for column in zip(*matrix, strict=True)]
    varied = [value for row in matrix if any(row) for value, varies in zip(row, across, strict=True) if varies]
    largest = max(varied, default=0.0)
    if score < largest and not math.isclose(score, largest, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        raise VlalignError(f"best.score is {score}, but its matrix has {largest}")


def _is_finite(value: Any) -> bool:
    """Return whether every number in JSON values is one that a float can be."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    try:
        return not isinstance(value, int | float) or math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        return False
