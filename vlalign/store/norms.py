"""Token norms of a run: for every sample and layer, how far the mean over tokens is the state of one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.files import one_line, parse_json, write_whole
from vlalign.store.checksums import sha256_bytes
from vlalign.store.layout import Shard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_META = "vlalign"
#: pools in which one token or patch of a large norm can outweigh all others, and the pool that leaves it out
_WITHOUT = {"mean": "mean-nosink", "mean-content": "mean-nosink", "avg": "avg-nosink"}
_OUTWEIGHS = 0.5


@dataclass(frozen=True)
class LayerNorms:
    """Token norms of one layer over the samples.

    Attributes:
        layer: name.
        ratio: largest norm of a token over the median one; median over samples.
        share: share of the mean over tokens that the token of the largest norm gives (the shares of all tokens sum to
            1); median over samples.
        position: most frequent position of that token among the tokens of a text, or the patches of an image.
        position_share: share of the samples that have it at this position.
        token: most frequent text of that token, with the share of the samples; None for images.
        token_share: share of the samples in which it is that token.
    """

    layer: str
    ratio: float
    share: float
    position: int
    position_share: float
    token: str | None
    token_share: float

    @property
    def place(self) -> str:
        """Which token or patch it mostly is, in words; empty where it is another one in most samples."""
        if self.token is not None and self.token_share > _OUTWEIGHS:
            return f"{self.token!r}"
        if self.position_share <= _OUTWEIGHS:
            return ""
        return "the first" if not self.position else f"number {self.position + 1}"

    def note(self, pool: str) -> str:
        """Return a sentence for a layer whose average is mostly one token or patch; empty for others.

        Args:
            pool: of the run.
        """
        if pool not in _WITHOUT or self.share <= _OUTWEIGHS:
            return ""
        one, whole, option = ("patch", "image", "vision") if pool == "avg" else ("token", "text", "text")
        place = f" (mostly {self.place})" if self.place else ""
        return (
            f"one {one}{place} gives {self.share:.0%} of the average of a typical {whole}, and its norm is "
            f"{self.ratio:.0f} times the median one: see --{option}-pool {_WITHOUT[pool]}"
        )


def norms_sentence(norms: Sequence[LayerNorms], pool: str) -> str:
    """Describe in how many layers one token or patch outweighs all others, and whether the pool averages over it.

    Args:
        norms: of all layers.
        pool: of the run.
    """
    one, whole = ("patch", "image") if norms[0].token is None else ("token", "text")
    sinks = [layer for layer in norms if layer.share > _OUTWEIGHS]
    if not sinks:
        return f"In no layer does one {one} give more than half of the mean of a typical {whole}."
    largest = max(sinks, key=lambda layer: layer.share)
    place = f", mostly {largest.place}" if largest.place else ""
    text = (
        f"In {len(sinks)} of {len(norms)} layers one {one} gives more than half of the mean of a typical {whole}, most "
        f"in {largest.layer} ({largest.share:.0%}{place}; its norm is {largest.ratio:.0f} times the median one)."
    )
    return text if pool in _WITHOUT else f"{text} The pool {pool} of these features is not that mean."


@dataclass(frozen=True)
class TokenNorms:
    """Token norms of samples in all layers.

    Attributes:
        ratio: largest norm over the median norm, ``[N, L]``.
        share: share of the mean that the token of the largest norm gives, ``[N, L]``.
        position: of that token, ``[N, L]`` int32.
        token: its id, ``[N, L]`` int32; None for images.
        pieces: texts of frequent token ids.
    """

    ratio: NDArray[np.float32]
    share: NDArray[np.float32]
    position: NDArray[np.int32]
    token: NDArray[np.int32] | None = None
    pieces: Mapping[int, str] | None = None

    @classmethod
    def joined(cls, parts: Sequence[TokenNorms]) -> TokenNorms:
        """Return the norms of several sets of samples, one after the other."""
        import numpy as np

        tokens = [part.token for part in parts if part.token is not None]
        return cls(
            np.concatenate([part.ratio for part in parts]),
            np.concatenate([part.share for part in parts]),
            np.concatenate([part.position for part in parts]),
            np.concatenate(tokens) if len(tokens) == len(parts) else None,
            parts[0].pieces,
        )

    def rows(self, start: int, stop: int) -> TokenNorms:
        """Return the norms of the samples ``[start, stop)``."""
        tensors = {name: values[start:stop] for name, values in self._tensors().items()}
        return TokenNorms(**tensors, pieces=self.pieces)

    def summary(self, layers: Sequence[str]) -> list[LayerNorms]:
        """Summarize over the samples.

        Args:
            layers: names, L of them.
        """
        import numpy as np

        rows = []
        for at, layer in enumerate(layers):
            ratio, share = (float(np.median(values[:, at])) for values in (self.ratio, self.share))
            place, places = _most_frequent(self.position[:, at])
            piece, pieces = None, 0.0
            if self.token is not None:
                token, pieces = _most_frequent(self.token[:, at])
                piece = (self.pieces or {}).get(token, f"token {token}")
            rows.append(LayerNorms(layer, ratio, share, place, places, piece, pieces))
        return rows

    def write(self, path: Path, key: str, shard: Shard) -> None:
        """Write the norms of a shard's samples as a safetensors file with a checksum.

        Raises:
            VlalignError: it cannot be written.
        """
        from safetensors.numpy import save

        tensors = self._tensors()
        about = {
            "key": key,
            "rows": [shard.start, shard.stop],
            "pieces": {str(token): text for token, text in (self.pieces or {}).items()},
            "sha256": _digest(tensors),
        }
        write_whole(path, save(tensors, metadata={_META: json.dumps(about, sort_keys=True)}))

    @classmethod
    def read(cls, path: Path, key: str, shard: Shard) -> TokenNorms:
        """Read what :meth:`write` wrote.

        Raises:
            VlalignError: missing, damaged, or of another run.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                about = parse_json((file.metadata() or {}).get(_META, "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about["sha256"] != _digest(tensors):
                raise ValueError("its numbers do not match their checksum")
            if about["key"] != key or about["rows"] != [shard.start, shard.stop]:
                raise ValueError("of another run")
            shapes = {values.shape for values in tensors.values()}
            if len(shapes) != 1 or {shape[:1] for shape in shapes} != {(shard.rows,)}:
                raise ValueError(f"its numbers are not those of {shard.rows} samples")
            pieces = {int(token): str(text) for token, text in about["pieces"].items()}
            return cls(**tensors, pieces=pieces)
        except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise VlalignError(
                f"{path} is damaged ({one_line(error)}): run the same extraction again, or remove it"
            ) from error

    def _tensors(self) -> dict[str, NDArray[Any]]:
        tensors: dict[str, NDArray[Any]] = {"ratio": self.ratio, "share": self.share, "position": self.position}
        return tensors if self.token is None else tensors | {"token": self.token}


def _digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Return the hex sha256 of all numbers, by name."""
    return sha256_bytes(b"".join(tensors[name].tobytes() for name in sorted(tensors)))


def _most_frequent(values: NDArray[np.int32]) -> tuple[int, float]:
    """Return the most frequent value, the smallest of several, and its share."""
    import numpy as np

    distinct, counts = np.unique(values, return_counts=True)
    at = int(counts.argmax())
    return int(distinct[at]), float(counts[at] / len(values))
