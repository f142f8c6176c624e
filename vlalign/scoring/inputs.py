"""Inputs of a score: a run of the store or plain tensors as layers with names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vlalign.arrays import LazyLayer, as_layers, content_digest
from vlalign.errors import VlalignError
from vlalign.row_ids import features_ids, features_index, has_id_column
from vlalign.store.importing import KIND
from vlalign.store.probes import stored_performance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from vlalign.store import LayerNorms, Run

#: What can be scored: a run, or features as :func:`vlalign.arrays.as_layers` reads them.
Features: TypeAlias = "Run | Arrays | ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]"

#: bytes of a layer in float32 (or float64) beyond which it is not held as a whole: its rows are converted, clipped and
#: normalised again for each block of neighbours that is searched
LAYER_BYTES = 2**30
_TALL = 4  # rows a dimension of such a layer, at least: a block of rows of a wide one is most of it
_HELD_BYTES = 2 * 2**30  # up to this size all layers of a run are held, beyond it they are read one by one
_ORIGIN = ("name", "revision", "config", "split", "file")


@dataclass(frozen=True, eq=False)
class Arrays:
    """Features that are no run; whatever is computed of them is computed once.

    Args:
        features: as :func:`vlalign.arrays.as_layers` reads them.
        name: of their model; None if not given.
        ids: of the samples; None if not given.
        label: of the side, x or y.
        source: of the features, such as their file, for errors.
    """

    features: Any
    name: str | None = None
    ids: Any = None
    label: str = "x"
    source: str = ""

    @cached_property
    def layers(self) -> tuple[list[Tensor], list[str]]:
        """Layers [N, D_l] of one precision where one is float64, and their names."""
        layers, names = as_layers(self.features, self.source or self.label)
        if len({layer.dtype for layer in layers}) > 1 and any(layer.dtype == torch.float64 for layer in layers):
            layers = [layer.double() for layer in layers]  # one clip threshold needs one precision
        return layers, names

    @cached_property
    def sample_ids(self) -> list[str] | None:
        """Ids as texts: those given, or the column ``id`` or the index of a frame; None without any."""
        ids = features_ids(self.features, self.source or self.label) if self.ids is None else self.ids
        return None if ids is None else _checked_ids(ids, len(self.layers[0][0]), self.source or self.label)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the values of all layers and of the ids, in hexadecimal digits."""
        return content_digest(self.layers[0], repr(self.sample_ids))


def is_run(features: Features) -> bool:
    """Return whether features are a run of a store."""
    return hasattr(features, "key") and hasattr(features, "load")


def has_ids(features: Any) -> bool:
    """Return whether the samples of a run, arrays or side have ids; row numbers of a run do not count."""
    run = features if is_run(features) else getattr(features, "run", None)
    if run is None:
        return features.ids is not None
    return (run.key.data.get("data") or {}).get("id_source") != "row"


def with_names(x: Features, y: Features, names: Any, ids: Any) -> tuple[Features, Features]:
    """Return both sides with names and ids.

    Args:
        x: one side.
        y: the other side.
        names: those of x and of y, None for a side without; or None.
        ids: those of x and of y, None for a side without; or one list, of the samples of both; or None.

    Raises:
        VlalignError: another number of values, or a value for a run, which has its own.
    """
    sides = [x, y]
    if ids is not None and not _is_pair(ids):
        ids = (ids, ids)
    if names is not None and not (isinstance(names, list | tuple) and len(names) == 2):
        raise VlalignError("names must be a pair: those of x, those of y (None for a side without)")
    for i, label in enumerate("xy"):
        name, own = (None if values is None else values[i] for values in (names, ids))
        if name is None and own is None:
            continue
        if is_run(sides[i]):
            raise VlalignError(f"{label} is a run, which has its own name and ids: give None for it")
        if name is not None and not (isinstance(name, str) and name.strip()):
            raise VlalignError(f"the name of {label} must be a text, got {name!r}")
        sides[i] = Arrays(sides[i], name, own, label)
    return sides[0], sides[1]


def _is_pair(ids: Any) -> bool:
    """Return whether ids are those of each side rather than of the samples of both."""
    return isinstance(ids, list | tuple) and len(ids) == 2 and not all(isinstance(part, str | int) for part in ids)


class Side:
    """One side of a score: layers with names, of which ``load`` reads one [N, D_l] at a time.

    Raises:
        VlalignError: as :func:`vlalign.arrays.as_layers`, or ids that are not one for each row.
    """

    def __init__(self, features: Features, label: str) -> None:
        self.label = label
        self.modality: str | None = None
        self.axis: list[dict[str, Any]] = []
        self.run: Run | None = None
        self.ids: list[str] | None = None
        self.ids_are_given = True  # rather than the index of a frame, which counts only where both sides have one
        self.index: Any = None  # of a frame without other ids
        self._arrays: Arrays | None = None
        self._layers: list[Tensor] | None = None
        self._order: Tensor | None = None
        if is_run(features):
            self._from_run(features)  # type: ignore[arg-type]
        else:
            self._from_arrays(features if isinstance(features, Arrays) else Arrays(features, label=label))

    def _from_run(self, run: Run) -> None:
        self.run = run
        self.ids = list(run.ids)
        self.n = len(self.ids)
        self.model, self.modality = run.key.title, run.key.modality
        self.axis = [
            {"index": layer.index, "name": layer.name, "width": layer.width, "convention": layer.convention}
            for layer in run.layers
        ]
        if len(set(self.ids)) != self.n:
            raise VlalignError(f"{self.model} holds duplicate sample ids: extract it again from a set with unique ids")

    def _from_arrays(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._layers, names = arrays.layers
        self.n = len(self._layers[0])
        self.model = arrays.name or self.label
        self.axis = [
            {"index": i, "name": name, "width": layer.shape[1], "convention": ""}
            for i, (name, layer) in enumerate(zip(names, self._layers, strict=True))
        ]
        self.ids = arrays.sample_ids
        if arrays.ids is None and not has_id_column(arrays.features):
            self.index = features_index(arrays.features)
        self.ids_are_given = self.ids is not None and self.index is None

    @property
    def names(self) -> list[str] | None:
        """Ids, or the index of a frame as texts, which may repeat; None without either."""
        return self.ids if self.ids is not None or self.index is None else [str(name) for name in self.index]

    @property
    def source(self) -> str:
        """The file of the features, or else the model, for messages."""
        return (self._arrays.source if self._arrays is not None else "") or self.model

    def norms_note(self, layer: Mapping[str, Any]) -> list[str]:
        """Return a note if a layer, an entry of ``axis``, averages tokens of which one outweighs the others."""
        if self.run is None or (pool := self.run.key.data.get("pooling")) is None:
            return []
        norms = self._norms() or []
        if isinstance(norms, str):
            return [norms]
        texts = [one.note(str(pool)) for one in norms if one.layer == layer["name"]]
        return [f"{layer['name']} of {self.model}: {text}" for text in texts if text]

    def _norms(self) -> list[LayerNorms] | str | None:
        """Return the token norms of the run's layers, a note where they are damaged, None where not measured."""
        assert self.run is not None
        try:
            return self.run.layer_norms
        except VlalignError as error:
            return f"token norms of {self.model} are not known: {error}"

    def hold(self) -> None:
        """Read all layers of a run now, if they are small enough to hold."""
        widths = [int(entry["width"]) for entry in self.axis]
        if self.run is not None and 4 * self.n * sum(widths) <= _HELD_BYTES and not _is_large(self.n, max(widths)):
            self._layers = list(self.run.features())

    def release(self) -> None:
        """Release the layers that :meth:`hold` read."""
        if self.run is not None:
            self._layers = None

    def put_in_order(self, ids: Sequence[str]) -> None:
        """Give rows in the order of ``ids`` from now on."""
        assert self.ids is not None
        if list(ids) != self.ids:
            row = {name: i for i, name in enumerate(self.ids)}
            self._order = torch.tensor([row[name] for name in ids])

    def load(self, i: int) -> Tensor | LazyLayer:
        """Return the features [N, D_i] of the layer at position ``i``; large ones on the CPU are read when used."""
        if self._layers is None:
            assert self.run is not None
            large = _is_large(self.n, self.run.layers[i].width)
            layer = self.run.lazy_layer(i) if large else self.run.load(i)
        else:
            layer = self._layers[i]
            if layer.device.type == "cpu" and _is_large(len(layer), layer.shape[1], max(4, layer.element_size())):
                layer = LazyLayer.of(layer)
        if self._order is None:
            return layer
        return layer.take(self._order) if isinstance(layer, LazyLayer) else layer[self._order.to(layer.device)]

    def layer_name(self, i: int) -> str:
        """Return the name of a layer for messages."""
        return f"{self.axis[i]['name']} of {self.source}"

    def describe(self) -> dict[str, Any]:
        """Return the entry of a record about this side."""
        run = None
        if self.run is not None:  # facts: what was truncated or left out at extraction
            run = {"hash": self.run.key.hash, "key": self.run.key.data, "facts": self.run.facts}
        tensor = None
        if self._arrays is not None:
            kinds = sorted({str(layer.dtype).removeprefix("torch.") for layer in self._arrays.layers[0]})
            tensor = {
                "n": self.n,
                "widths": [entry["width"] for entry in self.axis],
                "dtype": " ".join(kinds),
                "sha256": self._arrays.digest,
            }
        about = {"model": self.model, "modality": self.modality, "run": run, "tensor": tensor}
        norms = None if self.run is None else self._norms()
        return about if norms is None or isinstance(norms, str) else about | {"norms": [asdict(one) for one in norms]}

    def performance(self) -> dict[str, float | None] | None:
        """Return by name the scores of the run's probes, the bits per byte of its texts and the number of truncated
        ones; None where none of these is known.

        Raises:
            VlalignError: the stored result of probes is damaged.
        """
        if self.run is None:
            return None
        values: dict[str, float | None] = dict(stored_performance(self.run.path))
        bits = self.run.bits_per_byte()
        if bits is not None and math.isfinite(bits):
            values |= {
                "bits_per_byte": float(bits),
                **({"truncated": self.run.truncated} if self.run.truncated else {}),
            }
        return values or None


def _is_large(n: int, width: int, size: int = 4) -> bool:
    """Return whether the rows of a layer [n, width] of values of ``size`` bytes are read when they are used."""
    return n * width * size > LAYER_BYTES and n >= _TALL * width


def _checked_ids(ids: Any, n: int, label: str) -> list[str]:
    """Return ids as texts.

    Raises:
        VlalignError: not one for each of the ``n`` samples, duplicates, or values that are no text or whole number.
    """
    convert = next((getattr(ids, name) for name in ("tolist", "to_list", "to_pylist") if hasattr(ids, name)), None)
    values = ids if convert is None else convert()
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise VlalignError(f"the ids of {label} must be a list, one for each sample, not {type(ids).__name__}")
    if len(values) != n:
        raise VlalignError(f"{label} has {n} samples and {len(values)} ids: give one for each")
    for i, one in enumerate(values):
        if isinstance(one, bool) or not isinstance(one, str | int | np.integer):
            raise VlalignError(f"id {i} (from 0) of {label} must be a text or a whole number, got {one!r}")
    texts = [str(one) for one in values]
    if len(set(texts)) != n:
        twice = next(one for one, count in Counter(texts).items() if count > 1)
        raise VlalignError(f"{label} has the id {twice!r} more than once: ids must be unique")
    return texts


def check_pairing(x: Side, y: Side) -> str:
    """Check that two sides can be paired, and return how: "id" when both have ids, else "row".

    Raises:
        VlalignError: if they do not hold the same samples, or if that is not known.
    """
    for one, other in ((x, y), (y, x)):
        if one.ids is not None and one.ids_are_given and one.run is None and other.ids is None:
            raise VlalignError(
                f"{one.source} has ids and {other.source} has none: give ids for both (the same for both if their rows "
                "are in the same order), or for none"
            )
    _match_indexes(x, y)
    if x.ids is None or y.ids is None:
        if x.n != y.n:
            raise VlalignError(f"{x.model} has {x.n} rows and {y.model} has {y.n}: rows are pairs, so N must agree")
        return "row"
    a, b = ({} if side.run is None else side.run.key.data.get("data") or {} for side in (x, y))
    if a.get("id_source") == b.get("id_source") == "row" and any(a.get(part) != b.get(part) for part in _ORIGIN):
        raise VlalignError(
            f"{x.model} and {y.model} come from different sets ({_origin(a)}; {_origin(b)}) and their ids are only row "
            "numbers, so the rows may not be pairs: extract both with an id column (--id-column), or import with --ids"
        )
    xs, ys = set(x.ids), set(y.ids)
    if xs != ys:
        raise VlalignError(
            f"{x.model} ({x.n} samples) and {y.model} ({y.n} samples) do not hold the same ids: "
            f"{_missing(x.ids, ys, x.model)}, {_missing(y.ids, xs, y.model)}; leave these out, as both sides need the "
            "same samples"
        )
    by_order = all(
        side.run is not None and side.run.key.data.get("kind") == KIND and data.get("id_source") == "row"
        for side, data in ((x, a), (y, b))
    )
    return "row" if by_order else "id"


def sample_names(*sides: Side) -> list[str] | None:
    """Return the names that labels by id refer to, of sides whose rows are in one order; None without any."""
    return next((side.names for side in sides if side.names is not None), None)


def _match_indexes(x: Side, y: Side) -> None:
    """Take the indexes of two frames as ids where one is row numbers and the other has them in another order.

    Raises:
        VlalignError: indexes that differ otherwise, unless one holds no ids for other samples.
    """
    if x.index is None or y.index is None or x.n != y.n or (x.ids is not None and y.ids is not None):
        return
    if x.index.equals(y.index):
        return
    first, second = (list(map(str, side.index)) for side in (x, y))
    if set(first) != set(second) or len(set(first)) < len(first):
        raise VlalignError(
            f"the indexes of {x.source} and {y.source} differ and are not the same ids in another order: give both the "
            "same index, or reset_index(drop=True) to pair rows by their order"
        )
    x.ids, y.ids = first, second


def pairing_notes(x: Side, y: Side, by: str) -> list[str]:
    """Return a note if one side has ids or an index that the pairing by rows leaves out."""
    ordered = [side.ids is not None or not _numbers_rows(side.index) for side in (x, y)]
    if by == "id" or ordered[0] == ordered[1]:
        return []
    one, other = (x, y) if ordered[0] else (y, x)
    return [f"rows are paired by their order: {one.source} has ids or an index, and {other.source} has none"]


def _numbers_rows(index: Any) -> bool:
    """Return whether an index has nothing but row numbers in ascending order; also without one."""
    return index is None or bool(getattr(index, "step", 0) > 0)


def _origin(data: dict[str, Any]) -> str:
    return " ".join(str(data[part]) for part in _ORIGIN if data.get(part)) or "unnamed"


def _missing(ids: Sequence[str], other: set[str], model: str) -> str:
    only = [name for name in ids if name not in other]
    shown = ", ".join(repr(name) for name in only[:3]) + (", …" if len(only) > 3 else "")
    return f"{len(only)} only in {model}" + (f" ({shown})" if only else "")
