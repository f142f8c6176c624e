"""What a configuration on the Hub says about itself: ``vlalign/<config>.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vlalign.errors import VlalignError
from vlalign.store import Layer, RunKey
from vlalign.store.files import one_line, pretty
from vlalign.store.manifest import Entry

FORMAT = 1
FOLDER, DATA = "vlalign", "data"
DTYPES = ("float16", "float32")
STORED = "stored"  # entry of the key of a run whose values were rounded on the way


@dataclass(frozen=True)
class Extra:
    """Values per sample other than features: their column, and their shape without the samples."""

    name: str
    column: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """One Parquet file: rows ``[start, stop)``."""

    path: str
    sha256: str
    bytes: int
    start: int
    stop: int


@dataclass(frozen=True)
class Precision:
    """What storing as float16 or float32 cost.

    Attributes:
        largest_relative_error: of a value, relative to it, or to 6.1e-5 where it is smaller (below is float16's
            subnormal range).
        largest_row_error: norm of the error of a sample's features of a layer, relative to their norm.
        exact: nothing was lost, so that the features are the original's bit for bit.
    """

    largest_relative_error: float
    largest_row_error: float
    exact: bool


@dataclass(frozen=True)
class About:
    """Everything about one configuration that its Parquet files do not hold.

    Attributes:
        config: name on the Hub.
        key: run key of the features that were pushed.
        facts: what their extraction noted.
        n: samples.
        shard_rows: rows per shard of the store they came from.
        ids_sha256: of the store's list of ids.
        dtype: ``float16`` or ``float32``.
        precision: what that cost.
        layers: in order; layer i is column ``layer_<i>``.
        extras: columns beside the layers.
        shards: of the store they came from, with checksums.
        parts: the Parquet files.
        licence: of the model, None where it is not known.
        made_with: versions that wrote the Parquet files.
        extracted_with: versions that the features were extracted with, as far as the store tells.
    """

    config: str
    key: RunKey
    facts: Mapping[str, Any]
    n: int
    shard_rows: int
    ids_sha256: str
    dtype: str
    precision: Precision
    layers: tuple[Layer, ...]
    extras: tuple[Extra, ...]
    shards: tuple[Entry, ...]
    parts: tuple[Part, ...]
    licence: str | None
    made_with: Mapping[str, str]
    extracted_with: Mapping[str, str]

    @property
    def path(self) -> str:
        """Where it lies in the repository."""
        return f"{FOLDER}/{self.config}.json"

    @property
    def columns(self) -> list[str]:
        """Names of the layers' columns."""
        return layer_columns(len(self.layers))

    @property
    def pulled_key(self) -> RunKey:
        """Key of the run that pulling gives: the original's, unless values were rounded, which the key then says."""
        return self.key if self.precision.exact else RunKey({**self.key.data, STORED: self.dtype})

    @property
    def size(self) -> int:
        """Bytes of the Parquet files."""
        return sum(part.bytes for part in self.parts)

    def same_content(self, other: About) -> bool:
        """Whether both hold the same features in the same precision (files may differ by the writer's version)."""
        return (
            self.key == other.key
            and (self.dtype, self.ids_sha256, self.facts) == (other.dtype, other.ids_sha256, other.facts)
            and [shard.sha256 for shard in self.shards] == [shard.sha256 for shard in other.shards]
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the key with its hash under ``run``."""
        made = asdict(self)
        del made["key"], made["facts"]
        run = {"hash": self.key.hash, "key": self.key.data, "facts": dict(self.facts)}
        layers = zip(self.columns, self.layers, strict=True)
        made["layers"] = [{"column": column, **asdict(layer)} for column, layer in layers]
        return {"format": FORMAT, "kind": "embeddings", "run": run, "pulled": self.pulled_key.hash, **made}

    def to_bytes(self) -> bytes:
        """The content of the file."""
        return pretty(self.to_dict())

    @classmethod
    def read(cls, data: bytes, where: str) -> About:
        """Read the content of a file; ``where`` names it in errors.

        Raises:
            VlalignError: not JSON, of another format, or altered.
        """
        try:
            told = json.loads(data)
            if told["format"] != FORMAT or told["kind"] != "embeddings":
                raise ValueError(f"format {told['format']!r} of {told['kind']!r} is not what this vlalign reads")
            key = RunKey(told["run"]["key"])
            if key.hash != told["run"]["hash"]:
                raise ValueError("its run key was altered")
            made = cls(
                config=str(told["config"]),
                key=key,
                facts=dict(told["run"]["facts"]),
                n=int(told["n"]),
                shard_rows=int(told["shard_rows"]),
                ids_sha256=str(told["ids_sha256"]),
                dtype=told["dtype"],
                precision=Precision(**told["precision"]),
                layers=tuple(Layer(**{k: v for k, v in layer.items() if k != "column"}) for layer in told["layers"]),
                extras=tuple(Extra(**{**extra, "shape": tuple(extra["shape"])}) for extra in told["extras"]),
                shards=tuple(Entry(**shard) for shard in told["shards"]),
                parts=tuple(Part(**part) for part in told["parts"]),
                licence=told["licence"],
                made_with=dict(told["made_with"]),
                extracted_with=dict(told["extracted_with"]),
            )
            made._check()
        except (ValueError, KeyError, TypeError, AttributeError, VlalignError, RecursionError) as error:
            cause = f"it lacks {error}" if isinstance(error, KeyError) else one_line(error)
            raise VlalignError(f"{where} does not describe features that vlalign pushed: {cause}") from error
        return made

    def _check(self) -> None:
        """Raises ValueError for parts that do not fit together."""
        prefix = f"{DATA}/{self.config}/"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", self.config) or self.dtype not in DTYPES or not self.layers:
            raise ValueError("config, dtype or layers are not valid")
        for pieces in (self.shards, self.parts):
            edges = [0, *(piece.stop for piece in pieces)]
            if edges[-1] != self.n or [piece.start for piece in pieces] != edges[:-1] or edges != sorted(set(edges)):
                raise ValueError(f"its files do not cover rows 0 to {self.n}")
        if not {part.stop for part in self.parts} <= {shard.stop for shard in self.shards}:
            raise ValueError("its files cut shards in two")
        if any(not re.fullmatch(r"[A-Za-z0-9._-]+", part.path.removeprefix(prefix)) for part in self.parts):
            raise ValueError("its files do not lie where they belong")


def layer_columns(count: int) -> list[str]:
    """Names of so many layers' columns, which sort in order.

    >>> layer_columns(2), layer_columns(101)[-1]
    (['layer_00', 'layer_01'], 'layer_100')
    """
    digits = max(2, len(str(count - 1)))
    return [f"layer_{i:0{digits}d}" for i in range(count)]
