"""Description of a configuration on the Hub: ``vlalign/<config>.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from vlalign.errors import VlalignError
from vlalign.files import one_line, parse_json, sha256_file
from vlalign.scoring.validation import list_schema, object_schema, short, validate
from vlalign.store import Layer, Run, RunKey
from vlalign.store.checksums import canonical, pretty
from vlalign.store.layout import shard_name
from vlalign.store.manifest import Entry

FORMAT, KIND = 1, "embeddings"
FOLDER, DATA = "vlalign", "data"
DTYPES = ("float16", "float32")
STORED = "stored"  # entry of the key of a run whose values were rounded for the Hub


@dataclass(frozen=True)
class Extra:
    """Values per sample other than features: their column, and their shape without the samples."""

    name: str
    column: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """One file: rows ``[start, stop)``."""

    path: str
    sha256: str
    bytes: int
    start: int
    stop: int


@dataclass(frozen=True)
class Precision:
    """Loss of storing as float16 or float32.

    Attributes:
        largest_relative_error: of a value, relative to it, or to 6.1e-5 where it is smaller (below is float16's
            subnormal range).
        largest_row_error: norm of the error of a sample's features of a layer, relative to their norm.
        exact: whether the features are the original's bit for bit.
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
        facts: recorded by their extraction.
        n: samples.
        shard_rows: rows per shard of their store.
        ids_sha256: of the store's list of ids.
        dtype: ``float16`` or ``float32``.
        precision: loss of the dtype.
        layers: in order; layer i is column ``layer_<i>``.
        extras: columns besides the layers.
        shards: of their store, with checksums.
        parts: the Parquet files.
        licence: of the model, None if unknown.
        made_with: versions that wrote the Parquet files.
        extracted_with: versions that extracted the features, as far as the store records them.
        command: that pushed it, None where an earlier version did not record it.
        digests: sha256 of the ids and values of each shard as they were pushed (:func:`vlalign.hub.parquet.digest_of`);
            empty where an earlier version did not record them.
        norms: file of the token norms of all samples (:class:`vlalign.store.TokenNorms`), None where they were not
            measured.
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
    norms: Part | None = None

    @property
    def path(self) -> str:
        """Path of the description in the repository."""
        return f"{FOLDER}/{self.config}.json"

    @property
    def columns(self) -> list[str]:
        """Names of the layers' columns."""
        return layer_columns(len(self.layers))

    @property
    def files(self) -> list[Part]:
        """The Parquet files and the file of the token norms."""
        return [*self.parts, *([] if self.norms is None else [self.norms])]

    @property
    def paths(self) -> list[str]:
        """Paths of the description and of all files in the repository."""
        return [self.path, *(part.path for part in self.files)]

    @property
    def pulled_key(self) -> RunKey:
        """Key of the run that pulling makes: the original's, with ``stored`` added where values were rounded."""
        return self.key if self.precision.exact else RunKey({**self.key.data, STORED: self.dtype})

    @property
    def size(self) -> int:
        """Bytes of the Parquet files."""
        return sum(part.bytes for part in self.parts)

    def holds(self, run: Run, dtype: str) -> bool:
        """Return whether it holds the features of a run in this precision (files may differ by writer version)."""
        return (
            self.key == run.key
            and (self.dtype, self.ids_sha256, self.facts) == (dtype, sha256_file(run.layout.ids), run.facts)
            and [shard.sha256 for shard in self.shards] == [shard.sha256 for shard in run.shards]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; the key with its hash under ``run``."""
        content = asdict(self)
        del content["key"], content["facts"]
        run = {"hash": self.key.hash, "key": self.key.data, "facts": dict(self.facts)}
        layers = zip(self.columns, self.layers, strict=True)
        content["layers"] = [{"column": column, **asdict(layer)} for column, layer in layers]
        return {"format": FORMAT, "kind": KIND, "run": run, "pulled": self.pulled_key.hash, **content}

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return pretty(self.to_dict())

    @classmethod
    def read(cls, data: bytes, where: str) -> About:
        """Read the content of a file; ``where`` names it in errors.

        Raises:
            VlalignError: not JSON, of another format, or altered.
        """
        try:
            content = parse_json(data)
            canonical(content)  # no numbers that JSON does not have
            if content["format"] != FORMAT or content["format"] is True or content["kind"] != KIND:
                kind = f"format {short(content['format'])} of {short(content['kind'])}"
                raise ValueError(f"{kind} is not what this vlalign reads")
            validate(_SCHEMA, content)
            key = RunKey(content["run"]["key"])
            if key.hash != content["run"]["hash"]:
                raise ValueError("its run key was altered")
            parts: dict[str, Any] = {
                "key": key,
                "facts": content["run"]["facts"],
                "precision": Precision(**content["precision"]),
                "layers": [Layer(**{k: v for k, v in layer.items() if k != "column"}) for layer in content["layers"]],
                "extras": [Extra(**{**extra, "shape": tuple(extra["shape"])}) for extra in content["extras"]],
                "shards": [Entry(**shard) for shard in content["shards"]],
                "parts": [Part(**part) for part in content["parts"]],
                "norms": Part(**content["norms"]) if content.get("norms") else None,
            }
            names = {field.name for field in fields(cls)}
            values = {name: value for name, value in content.items() if name in names} | parts
            arguments: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
            about = cls(**arguments)
            if problem := next(about._problems(), None):
                raise ValueError(problem)
        except (ValueError, KeyError, TypeError, AttributeError, VlalignError) as error:
            cause = f"it lacks {error}" if isinstance(error, KeyError) else one_line(error)
            raise VlalignError(f"{where} does not describe features that vlalign pushed: {cause}") from error
        return about

    def _problems(self) -> Iterator[str]:
        """Yield what is inconsistent; each check may rely on those before it."""
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
        files = [shard_name(i, len(self.shards)) for i in range(len(self.shards))]
        if [part.path for part in self.parts] != parts or [shard.file for shard in self.shards] != files:
            yield "its files do not lie where they belong"
        cost = self.precision
        if cost.exact is not (max(cost.largest_relative_error, cost.largest_row_error) == 0):
            yield "its precision is invalid"
        if len(self.digests) not in (0, len(self.shards)):
            yield f"it has {len(self.digests)} digests of {len(self.shards)} shards"
        norms = self.norms
        if norms is not None and (norms.path, norms.start, norms.stop) != (norms_path(self.config), 0, self.n):
            yield "its file of token norms is another one's"


_ROW = Annotated[int, Field(ge=0, lt=2**31)]  # lists of Parquet are not longer
_COUNT = Annotated[int, Field(ge=1, lt=2**31)]
_RATIO = Annotated[float, Field(ge=0, le=1)]
_SHA256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_NAME = Annotated[str, Field(min_length=1)]
_FILE: dict[str, Any] = {
    "sha256": _SHA256, "bytes": Annotated[int, Field(ge=0, lt=2**60)], "start": _ROW, "stop": _ROW
}  # fmt: skip
_LAYER = object_schema(index=Annotated[int, Field(ge=-1, lt=2**31)], name=_NAME, width=_COUNT, convention=str)
_SCHEMA = object_schema(
    run=object_schema(
        hash=str,
        key=object_schema(data=[dict[str, Any] | None], perturbations=[list[Any] | None]),
        facts=dict[str, Any],
    ),
    config=Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._+-]*$")],
    n=_COUNT,
    shard_rows=_COUNT,
    ids_sha256=_SHA256,
    dtype=Literal["float16", "float32"],
    precision=object_schema(largest_relative_error=_RATIO, largest_row_error=_RATIO, exact=bool),
    layers=list_schema(_LAYER, least=1),
    extras=list_schema(object_schema(name=_NAME, column=str, dtype=str, shape=list[_ROW])),
    shards=list_schema(object_schema(file=str, **_FILE)),
    parts=list_schema(object_schema(path=str, **_FILE)),
    licence=str | None,
    made_with=dict[str, str],
    extracted_with=dict[str, str],
    command=[str | None],
    digests=[list[_SHA256]],
    norms=[object_schema(path=str, **_FILE) | None],
)


def read_all_abouts(files: Mapping[str, bytes], repo: str) -> list[About]:
    """Read those of a data set's ``vlalign/*.json`` that describe features; those of another kind are skipped.

    Args:
        files: path -> content.
        repo: names the data set in errors.

    Raises:
        VlalignError: one is not JSON, or describes features in a way that this version does not read.
    """
    abouts = []
    for path, data in sorted(files.items()):
        if _kind(data) in (None, KIND):
            about = About.read(data, f"{path} of data set {repo!r}")
            if about.path != path:
                raise VlalignError(f"{path} of data set {repo!r} describes {about.path}: remove it from the data set")
            abouts.append(about)
    return abouts


def _kind(data: bytes) -> str | None:
    try:
        content = parse_json(data)
    except ValueError:
        return None
    kind = content.get("kind") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None


def part_path(config: str, number: int, count: int) -> str:
    """Return the path of one of the Parquet files of a configuration.

    >>> part_path("llama-7b", 0, 2)
    'data/llama-7b/part-00000-of-00002.parquet'
    """
    return f"{DATA}/{config}/part-{number:05d}-of-{count:05d}.parquet"


def norms_path(config: str) -> str:
    """Return the path of the file of a configuration's token norms.

    >>> norms_path("llama-7b")
    'data/llama-7b/norms.safetensors'
    """
    return f"{DATA}/{config}/norms.safetensors"


def layer_columns(count: int) -> list[str]:
    """Return the names of ``count`` layers' columns, which sort in order.

    >>> layer_columns(2), layer_columns(101)[-1]
    (['layer_00', 'layer_01'], 'layer_100')
    """
    digits = max(2, len(str(count - 1)))
    return [f"layer_{i:0{digits}d}" for i in range(count)]
