"""What a configuration on the Hub says about itself: ``vlalign/<config>.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.files import one_line, parse_json
from vlalign.hub.validation import flaw_of, is_ratio, is_text, is_whole, mapping, short
from vlalign.store import Layer, RunKey, Shard
from vlalign.store.checksums import canonical, pretty
from vlalign.store.layout import Layout
from vlalign.store.manifest import Entry

FORMAT, KIND = 1, "embeddings"
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
        command: that pushed it, None where an earlier version did not note it.
        digests: sha256 of the ids and values of each shard as they were pushed (:func:`vlalign.hub.parquet.digest_of`);
            empty where an earlier version did not record them.
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
    command: str | None = None
    digests: tuple[str, ...] = ()

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
        return {"format": FORMAT, "kind": KIND, "run": run, "pulled": self.pulled_key.hash, **made}

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
            told = parse_json(data)
            canonical(told)  # no numbers that JSON does not have
            if not is_whole(told["format"], FORMAT, FORMAT + 1) or told["kind"] != KIND:
                found = f"format {short(told['format'])} of {short(told['kind'])}"
                raise ValueError(f"{found} is not what this vlalign reads")
            key = RunKey(told["run"]["key"])
            if key.hash != told["run"]["hash"]:
                raise ValueError("its run key was altered")
            made = cls(
                config=told["config"],
                key=key,
                facts=mapping(told["run"]["facts"], "run.facts"),
                n=told["n"],
                shard_rows=told["shard_rows"],
                ids_sha256=told["ids_sha256"],
                dtype=told["dtype"],
                precision=Precision(**told["precision"]),
                layers=tuple(Layer(**{k: v for k, v in layer.items() if k != "column"}) for layer in told["layers"]),
                extras=tuple(Extra(**{**extra, "shape": tuple(extra["shape"])}) for extra in told["extras"]),
                shards=tuple(Entry(**shard) for shard in told["shards"]),
                parts=tuple(Part(**part) for part in told["parts"]),
                licence=told["licence"],
                made_with=mapping(told["made_with"], "made_with"),
                extracted_with=mapping(told["extracted_with"], "extracted_with"),
                command=told.get("command"),
                digests=tuple(told.get("digests", ())),
            )
            if flaw := next(made._flaws(), None):
                raise ValueError(flaw)
        except (ValueError, KeyError, TypeError, AttributeError, VlalignError) as error:
            cause = f"it lacks {error}" if isinstance(error, KeyError) else one_line(error)
            raise VlalignError(f"{where} does not describe features that vlalign pushed: {cause}") from error
        return made

    def _flaws(self) -> Iterator[str]:
        """What does not fit; each check may rely on those before it."""
        if not is_text(self.config, r"[A-Za-z0-9][A-Za-z0-9._+-]*") or self.dtype not in DTYPES or not self.layers:
            yield "config, dtype or layers are not valid"
        for name in ("n", "shard_rows"):
            if not is_whole(getattr(self, name), 1):
                yield f"{name} is {short(getattr(self, name))}"
        data = self.key.data
        if not isinstance(data.get("data") or {}, dict) or not isinstance(data.get("perturbations") or [], list):
            yield "its run key tells data or edits that are none"
        for name in ("layers", "extras", "shards", "parts"):
            for i, piece in enumerate(getattr(self, name)):
                if flaw := flaw_of(asdict(piece)):
                    yield f"{name}[{i}].{flaw}"
        if len({layer.name for layer in self.layers}) < len(self.layers):
            yield "two layers have one name"
        if any(extra.column != f"extra_{extra.name}" for extra in self.extras):
            yield "a column is not named as its extra"
        for pieces in (self.shards, self.parts):
            edges = [0, *(piece.stop for piece in pieces)]
            if edges[-1] != self.n or [piece.start for piece in pieces] != edges[:-1] or edges != sorted(set(edges)):
                yield f"its files do not cover rows 0 to {self.n}"
        if any(shard.stop != min(self.n, (i + 1) * self.shard_rows) for i, shard in enumerate(self.shards)):
            yield f"its shards do not have {self.shard_rows} rows"
        if not {part.stop for part in self.parts} <= {shard.stop for shard in self.shards}:
            yield "its files cut shards in two"
        parts = [part_path(self.config, i, len(self.parts)) for i in range(len(self.parts))]
        if [part.path for part in self.parts] != parts or [shard.file for shard in self.shards] != self._shard_files():
            yield "its files do not lie where they belong"
        cost = self.precision
        errors = (cost.largest_relative_error, cost.largest_row_error)
        if not all(is_ratio(error) for error in errors) or cost.exact is not (max(errors) == 0):
            yield "its precision is none"
        told: list[Any] = [*self.made_with.values(), *self.extracted_with.values()]
        told += [value for value in (self.licence, self.command) if value is not None]
        if not all(is_text(value) for value in told):
            yield "a version, licence or command is no text"
        if len(self.digests) not in (0, len(self.shards)):
            yield f"it has {len(self.digests)} digests of {len(self.shards)} shards"
        if not all(is_text(digest, "[0-9a-f]{64}") for digest in self.digests):
            yield "a digest is not a sha256"
        if not is_text(self.ids_sha256, "[0-9a-f]{64}"):
            yield f"ids_sha256 is {short(self.ids_sha256)}"

    def _shard_files(self) -> list[str]:
        rows = [Shard(i, shard.start, shard.stop) for i, shard in enumerate(self.shards)]
        return [Layout(Path()).shard(shard, len(rows)).name for shard in rows]


def read_all_abouts(files: Mapping[str, bytes], repo: str) -> list[About]:
    """Those of a data set's ``vlalign/*.json`` that describe features; what tells of another kind is passed over.

    Args:
        files: path -> content.
        repo: names the data set in errors.

    Raises:
        VlalignError: one is no JSON, or describes features in a way that this version does not read.
    """
    abouts = []
    for path, data in sorted(files.items()):
        if _kind(data) in (None, KIND):
            about = About.read(data, f"{path} of data set {repo!r}")
            if about.path != path:
                raise VlalignError(f"{path} of data set {repo!r} tells of {about.path}: remove it from there")
            abouts.append(about)
    return abouts


def _kind(data: bytes) -> str | None:
    try:
        told = parse_json(data)
    except ValueError:
        return None
    kind = told.get("kind") if isinstance(told, dict) else None
    return kind if isinstance(kind, str) else None


def part_path(config: str, number: int, count: int) -> str:
    """Where one of the Parquet files of a configuration lies.

    >>> part_path("llama-7b", 0, 2)
    'data/llama-7b/part-00000-of-00002.parquet'
    """
    return f"{DATA}/{config}/part-{number:05d}-of-{count:05d}.parquet"


def layer_columns(count: int) -> list[str]:
    """Names of so many layers' columns, which sort in order.

    >>> layer_columns(2), layer_columns(101)[-1]
    (['layer_00', 'layer_01'], 'layer_100')
    """
    digits = max(2, len(str(count - 1)))
    return [f"layer_{i:0{digits}d}" for i in range(count)]
