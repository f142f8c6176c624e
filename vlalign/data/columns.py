"""Choice of the columns that hold the image, the text and the id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlalign.data.source import raw_values
from vlalign.data.spec import DataSpec
from vlalign.display import quoted
from vlalign.errors import VlalignError, did_you_mean, short_line

if TYPE_CHECKING:
    from collections.abc import Collection

    from datasets import Dataset, Features

IMAGE_NAMES = ("image", "img", "picture", "photo", "jpg", "png", "file_name", "image_path", "image_file", "filename")
STRINGS = ("string", "large_string", "string_view")
BYTES = ("binary", "large_binary", "binary_view")
TEXT_NAMES = ("text", "caption", "captions", "texts", "sentence", "sentences", "description", "alt_text", "txt")
ID_NAME = "id"
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Columns:
    """The columns of a data set that are read; None if it has no such column."""

    image: str | None
    text: str | None
    id: str | None


def is_image(feature: Any) -> bool:
    """Return whether a type is an image: an Image feature, or bytes and path as in parquet files without metadata."""
    from datasets import Image

    return isinstance(feature, Image) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def could_be_image(feature: Any) -> bool:
    """Return whether a type is an image or can hold a file's name or its bytes."""
    return is_image(feature) or getattr(feature, "dtype", None) in (*STRINGS, *BYTES)


def is_text(feature: Any) -> bool:
    """Return whether a type is a string or a list of strings."""
    return getattr(_inner(feature), "dtype", None) in STRINGS


def _inner(feature: Any) -> Any:
    """Return the feature of a list's entries, and other features as they are."""
    return getattr(feature, "feature", feature[0] if isinstance(feature, list) and feature else feature)


def describe(features: Features) -> str:
    """Return the columns with their types, for error messages."""
    return short_line(", ".join(f"{name} ({type_name(feature)})" for name, feature in features.items()), 500) or "none"


def type_name(feature: Any) -> str:
    """Return a short name of a feature's type, such as "string", "image" or "list of string"."""
    if is_image(feature):
        return "image"
    if isinstance(feature, dict):
        return "struct"
    if _inner(feature) is not feature:
        return f"list of {type_name(_inner(feature))}"
    if type(feature).__name__ == "Value":
        return str(feature.dtype)
    return type(feature).__name__


def choose(dataset: Dataset, spec: DataSpec, modalities: Collection[str], where: str) -> Columns:
    """Choose the columns to read, by the spec's names or by type and usual names; text of numbers only comes last.

    where: the data set's name for errors. Raises VlalignError, which lists the columns, if a named column is missing or
    of the wrong type, or if a needed column is missing or ambiguous.
    """
    features = dataset.features
    for option, name in (("image", spec.image_column), ("text", spec.text_column), ("id", spec.id_column)):
        if name is not None and name not in features:
            raise VlalignError(
                f"{where} has no column {quoted(name)} for --{option}-column{did_you_mean(name, list(features))}; "
                f"its columns: {describe(features)}"
            )
    ids = [name for name, feature in features.items() if name.strip() == ID_NAME and _scalar(feature)]
    return Columns(
        image=_image(dataset, spec, "vision" in modalities, where),
        text=_text(dataset, spec, "text" in modalities, where),
        id=spec.id_column or min(ids, key=len, default=None),
    )


def _scalar(feature: Any) -> bool:
    return type(feature).__name__ in ("Value", "ClassLabel")


def _numbers(dataset: Dataset, name: str) -> bool:
    """Return whether a column of strings holds numbers only, as number columns of text tables do."""
    values = raw_values(dataset, name) if getattr(dataset.features[name], "dtype", None) in STRINGS else []
    return any(values) and all(_NUMBER.fullmatch(value) for value in values if value)


def _image(dataset: Dataset, spec: DataSpec, needed: bool, where: str) -> str | None:
    features = dataset.features
    if spec.image_column is not None:
        if not could_be_image(features[spec.image_column]):
            raise _wrong_type(spec.image_column, features, where, "images or file names")
        return spec.image_column
    names = [name for name, feature in features.items() if is_image(feature)]
    if not names:
        names = [name for name in IMAGE_NAMES if name in features and could_be_image(features[name])]
        names = ([name for name in names if not _numbers(dataset, name)] or names)[:1]
    return _only(names, IMAGE_NAMES, "image", features, needed, where)


def _text(dataset: Dataset, spec: DataSpec, needed: bool, where: str) -> str | None:
    features = dataset.features
    if spec.text_column is not None:
        if not _scalar(_inner(features[spec.text_column])):
            raise _wrong_type(spec.text_column, features, where, "text")
        return spec.text_column
    names = [name for name in TEXT_NAMES if name in features and is_text(features[name])][:1]
    if not names:
        taken = {spec.id_column, ID_NAME, spec.image_column, *IMAGE_NAMES}
        names = [name for name, feature in features.items() if name not in taken and is_text(feature)]
        if len(names) > 1:
            names = [name for name in names if not _numbers(dataset, name)] or names
    return _only(names, TEXT_NAMES, "text", features, needed, where)


def _wrong_type(name: str, features: Features, where: str, expected: str) -> VlalignError:
    return VlalignError(
        f"column {quoted(name)} of {where} holds {type_name(features[name])}, not {expected}; "
        f"its columns: {describe(features)}"
    )


def _only(
    names: list[str], usual: tuple[str, ...], kind: str, features: Features, needed: bool, where: str
) -> str | None:
    """Return the only candidate; of several, that with the most usual name. None without one, or an error if needed."""
    if len(names) > 1:
        names = [name for name in usual if name in names][:1] or names
    if len(names) == 1:
        return names[0]
    if not needed:
        return None
    problem = f"{where} has no column of {'images' if kind == 'image' else 'text'}"
    if names:
        problem = f"{where} has several columns that could hold the {kind} ({', '.join(names)})"
    raise VlalignError(f"{short_line(problem, 500)}: name it with --{kind}-column; its columns: {describe(features)}")
