"""Ids of the rows of tables, and values of samples that are given by id or by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlalign.display import some
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    import pyarrow as pa

_ID = "id"
#: names of a column that is the index of a frame: of a CSV file, as pandas reads it, and of a parquet file
INDEX_COLUMNS = ("", "Unnamed: 0", "__index_level_0__")


def index_of(value: Any) -> Any:
    """Return the index of a pandas frame or series; None for other values and for a frame with a column of ids."""
    return value.index if package_of(value) == "pandas" and hasattr(value, "index") and not _id_column(value) else None


def index_ids(value: Any) -> list[Any] | None:
    """Return the sample ids of a table: its column ``id``, or the index of a pandas frame or series.

    Returns:
        None for other values, and for an index that repeats a name or is only row numbers.
    """
    name = _id_column(value)
    if name is not None:
        column = value[name]
        values = column.to_pylist() if hasattr(column, "to_pylist") else column.to_list()
        if name != _ID and values == list(range(len(values))):
            return None
        return [str(value) if isinstance(value, int) else value for value in values]
    index = index_of(value)
    if index is None or not index.is_unique or hasattr(index, "step"):  # a RangeIndex
        return None
    return [str(name) for name in index]


def features_ids(value: Any, what: str) -> list[Any] | None:
    """Return :func:`index_ids` of features as :func:`as_layers` reads them; None where no layer has ids.

    Raises:
        VlalignError: the rows of two layers have other ids or indexes.
    """
    parts = tables_of(value)
    given = [ids for part in parts if (ids := index_ids(part)) is not None]
    indexes = [index for part in parts if (index := index_of(part)) is not None]
    if any(ids != given[0] for ids in given) or any(not index.equals(indexes[0]) for index in indexes):
        raise VlalignError(f"{what}: its layers have their rows in different orders: give all layers the same index")
    return given[0] if given else None


def has_id_column(value: Any) -> bool:
    """Return whether a table among features has a column of ids."""
    return any(_id_column(part) is not None and index_ids(part) is not None for part in tables_of(value))


def features_index(value: Any) -> Any:
    """Return the index of features, or of the first of their layers that has one; None without."""
    return next((index for part in tables_of(value) if (index := index_of(part)) is not None), None)


def tables_of(value: Any) -> list[Any]:
    """Return the tables among the layers of features, which may have ids."""
    layers = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else [value]
    return [layer for layer in layers if package_of(layer) in ("pandas", "polars", "pyarrow")]


def by_index(values: Any, names: Sequence[str] | None = None) -> Any:
    """Return a series or frame of values of samples as a mapping from ids; all else, and what is by row, as it is.

    An index of row numbers is by id only where the samples have the same numbers as ids.

    Args:
        values: anything with one value a sample.
        names: ids of the samples, or the index of their features; None without.

    Raises:
        VlalignError: both indexes repeat names, in different orders.
    """
    ids = index_ids(values)
    index = index_of(values)
    if ids is None and index is not None and names is not None:
        texts = [str(name) for name in index]
        if texts != list(names) and set(texts) == set(names):
            ids = texts
            if not index.is_unique:
                raise VlalignError(
                    "the index of the labels repeats names, in another order than that of the features: give them by "
                    "row, in the order of the features (.to_numpy())"
                )
    if ids is None:
        return values
    rows = without_ids(values)
    rows = rows.to_pandas() if package_of(rows) == "pyarrow" else rows
    rows = rows.tolist() if hasattr(rows, "tolist") else rows.to_numpy().tolist()
    return dict(zip(map(str, ids), rows, strict=True))


def without_ids(value: Any) -> Any:
    """Return a table without its columns of ids and of an index; other values as they are."""
    names = _id_columns(value)
    if not names:
        return value
    if package_of(value) == "pandas":
        return value.drop(columns=names)
    return value.drop(names) if package_of(value) == "polars" else value.drop_columns(names)


def refuse_other_order(x: Any, y: Any) -> None:
    """Check that two tables whose rows are paired by their order do not have other ids or another index.

    Raises:
        VlalignError: they have.
    """
    for of in (index_ids, index_of):
        one, other = of(x), of(y)
        if one is not None and other is not None:
            if not (one == other if isinstance(one, list) else one.equals(other)):
                raise VlalignError(
                    "x and y have different indexes, and their rows are paired by their order: put them in one order "
                    "(y.loc[x.index]), or use vlalign.score, which pairs by id"
                )
            return


def package_of(value: Any) -> str:
    """Return the package that defines the type of a value."""
    return type(value).__module__.partition(".")[0]


def _id_column(value: Any) -> str | None:
    """Return the name of a table's column of ids, or else of an index that it kept as a column; None without."""
    return next(iter(_id_columns(value)), None)


def _id_columns(value: Any) -> list[str]:
    """Return the names of a table's columns that hold ids or an index, ``id`` first; never its only column."""
    package = package_of(value)
    if package not in ("pandas", "polars", "pyarrow"):
        return []
    names = list(getattr(value, "column_names" if package == "pyarrow" else "columns", ()))
    known = index_columns(value.schema) if package == "pyarrow" and hasattr(value, "schema") else INDEX_COLUMNS
    kept = [one for one in dict.fromkeys((_ID, *known)) if one in names]
    return kept if len(kept) < len(names) else []


def index_columns(schema: pa.Schema) -> tuple[str, ...]:
    """Return the names of columns of an Arrow table that hold the index of a pandas frame, from its metadata."""
    described = (schema.pandas_metadata or {}).get("index_columns", ())
    return (*(name for name in described if isinstance(name, str)), *INDEX_COLUMNS)


def is_missing(value: Any) -> bool:
    """Return whether a label is None, NaN, the NA of pandas or an empty text."""
    try:
        return value is None or bool(value != value) or (isinstance(value, str) and not value.strip())
    except (TypeError, ValueError):  # NA of pandas; an array, which is no label
        return True


def label_text(label: Any) -> str:
    """Return a label as text, whole numbers without a decimal point and with all digits.

    >>> label_text(1000001.0), label_text(0.5), label_text("a")
    ('1000001', '0.5', 'a')
    """
    return str(int(label) if isinstance(label, float) and label.is_integer() else label)


def refuse_alike(labels: Iterable[Any], what: str) -> None:
    """Refuse distinct labels that differ only in type or in the spaces around them, such as 3, "3" and "3 ".

    Raises:
        VlalignError: naming two of them.
    """
    known: dict[str, Any] = {}
    for label in labels:
        text = label_text(label).strip()
        if (other := known.setdefault(text, label)) != label:
            raise VlalignError(f"{what}: {other!r} and {label!r} differ only in type or spaces: write them alike")


def by_row(values: Any, ids: Sequence[str] | None, n: int, what: str) -> list[Any]:
    """Return one value a sample, given by row or by id.

    Args:
        values: a mapping from ids, a series or frame with an index of ids, or anything with one value a row.
        ids: of the samples, or the index of their features; None without.
        n: number of samples.
        what: the values as errors name them.

    Raises:
        VlalignError: another number of values, samples without one, or values by id for samples without ids.
    """
    values = by_index(values, ids)
    if isinstance(values, Mapping):
        if ids is None:
            raise VlalignError(
                f"the {what} are given by id, but the features have no ids: give their ids (--ids), or one value a row "
                "(of a series .to_numpy())"
            )
        values = {str(name): value for name, value in values.items()}
        if missing := [name for name in ids if name not in values]:
            if len(missing) == len(ids):
                shown = f"{some(list(values))} there, {some(missing)} here"
                raise VlalignError(f"no id of the {what} is an id of the features: {shown}")
            raise VlalignError(f"the {what} lack {len(missing)} of {len(ids)} samples: {some(missing)}")
        return [values[name] for name in ids]
    rows = _as_list(values)
    if rows is None:
        raise VlalignError(f"the {what} must be one value a sample, not {type(values).__name__}")
    if len(rows) != n:
        raise VlalignError(f"{len(rows)} {what} for {n} samples: give one for each, in their order")
    return rows


def group_names(groups: Any, ids: Sequence[str] | None, n: int) -> list[str]:
    """Return the name of the group of each of n samples; arguments are those of :func:`by_row`.

    Raises:
        VlalignError: as :func:`by_row` and :func:`refuse_alike`, or a sample without a group.
    """
    values = by_row(groups, ids, n, "groups")
    if missing := [i for i, one in enumerate(values) if is_missing(one)]:
        raise VlalignError(f"groups: sample {missing[0]} (from 0) has no group: give it one")
    refuse_alike(values, "groups")
    return list(map(str, values))


def _as_list(values: Any) -> list[Any] | None:
    """Return values as a list, each value of one number as that number; None for a text, and what is no sequence."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    convert = next(
        (getattr(values, name) for name in ("tolist", "to_list", "to_pylist") if hasattr(values, name)), None
    )
    if convert is None and hasattr(values, "to_numpy"):  # a frame
        convert = values.to_numpy().tolist
    rows = values if convert is None else convert()
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        return None
    return [value.item() if getattr(value, "ndim", None) == 0 else value for value in rows]
