"""Which columns hold the image, the text and the id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlalign.data.reading import raw_values
from vlalign.data.spec import DataSpec, close, one_line, quoted
from vlalign.errors import VlalignError

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
    """The columns of a data set that are read; None where there is none."""

    image: str | None
    text: str | None
    id: str | None


def is_image(feature: Any) -> bool:
    """An image by its type: an Image feature, or a struct of bytes and path as parquet files without metadata hold."""
    from datasets import Image

    return isinstance(feature, Image) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def could_be_image(feature: Any) -> bool:
    """Image types, and types that can hold a file's name or its bytes."""
    return is_image(feature) or getattr(feature, "dtype", None) in (*STRINGS, *BYTES)


def is_text(feature: Any) -> bool:
    """A string or a list of strings."""
    return getattr(_inner(feature), "dtype", None) in STRINGS


def _inner(feature: Any) -> Any:
    """Return the feature of a list's entries, and other features as they are."""
    return getattr(feature, "feature", feature[0] if isinstance(feature, list) and feature else feature)


def describe(features: Features) -> str:
    """The columns with their types, for error messages."""
    return one_line(", ".join(f"{name} ({type_name(feature)})" for name, feature in features.items()), 500) or "none"


def type_name(feature: Any) -> str:
    """A short name of a feature's type, such as "string", "image" or "list of string"."""
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

    where: the data set's name for errors. Raises VlalignError, which lists the columns, when a named column is not
    there or of the wrong type, and when one that a modality needs is not found or could be several.
    """
    features = dataset.features
    for option, name in (("image", spec.image_column), ("text", spec.text_column), ("id", spec.id_column)):
        if name is not None and name not in features:
            raise VlalignError(
                f"{where} has no column {quoted(name)} for --{option}-column{close(name, list(features))}; "
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
    """Whether a column of strings holds numbers only, as every column of numbers of a text table does."""
    values = raw_values(dataset, name) if getattr(dataset.features[name], "dtype", None) in STRINGS else []
    return any(values) and all(_NUMBER.fullmatch(value) for value in values if value)


def _image(dataset: Dataset, spec: DataSpec, needed: bool, where: str) -> str | None:
    features = dataset.features
    if spec.image_column is not None:
        feature = features[spec.image_column]
        if not could_be_image(feature):
            raise VlalignError(
                f"column {quoted(spec.image_column)} of {where} holds {type_name(feature)}, not images or file names; "
                f"its columns: {describe(features)}"
            )
        return spec.image_column
    found = [name for name, feature in features.items() if is_image(feature)]
    if not found:
        found = [name for name in IMAGE_NAMES if name in features and could_be_image(features[name])]
        found = ([name for name in found if not _numbers(dataset, name)] or found)[:1]
    return _only(found, IMAGE_NAMES, "image", features, needed, where)


def _text(dataset: Dataset, spec: DataSpec, needed: bool, where: str) -> str | None:
    features = dataset.features
    if spec.text_column is not None:
        feature = features[spec.text_column]
        if type(_inner(feature)).__name__ not in ("Value", "ClassLabel"):
            raise VlalignError(
                f"column {quoted(spec.text_column)} of {where} holds {type_name(feature)}, not text; "
                f"its columns: {describe(features)}"
            )
        return spec.text_column
    found = [name for name in TEXT_NAMES if name in features and is_text(features[name])][:1]
    if not found:
        taken = {spec.id_column, ID_NAME, spec.image_column, *IMAGE_NAMES}
        found = [name for name, feature in features.items() if name not in taken and is_text(feature)]
        if len(found) > 1:
            found = [name for name in found if not _numbers(dataset, name)] or found
    return _only(found, TEXT_NAMES, "text", features, needed, where)


def _only(
    found: list[str], names: tuple[str, ...], kind: str, features: Features, needed: bool, where: str
) -> str | None:
    """The one column found; of several, the one with the most usual name. None, or an error if needed."""
    if len(found) > 1:
        found = [name for name in names if name in found][:1] or found
    if len(found) == 1:
        return found[0]
    if not needed:
        return None
    problem = (
        f"{where} has several columns that could hold the {kind} ({', '.join(found)})"
        if found
        else (f"{where} has no column of {kind}s" if kind == "image" else f"{where} has no column of text")
    )
    raise VlalignError(f"{one_line(problem, 500)}: name it with --{kind}-column; its columns: {describe(features)}")
