"""Readers: a loaded model and the data, shard by shard, to pooled features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError, short_line
from vlalign.extraction.batches import Halving, token_batches
from vlalign.extraction.decoding import decode
from vlalign.extraction.loss import bits_per_text
from vlalign.extraction.pool import MisshapenState, Pooled, StatePooler
from vlalign.extraction.pools import pool_patches, pool_tokens
from vlalign.extraction.trial import read_states, try_images
from vlalign.models.structure import Tap
from vlalign.models.text import TextModel
from vlalign.models.vision import Preprocessing, VisionModel
from vlalign.store import Shard, TokenNorms

if TYPE_CHECKING:
    from torch import Tensor

    from vlalign.data import PairedData
    from vlalign.extraction.edited import EditedImages

Advance = Callable[[int], None]
Groups = Sequence[Sequence[Shard]]


class FailedForward(VlalignError):
    """A model whose code raises an error."""


@contextmanager
def forwards(name: str, sample: str) -> Iterator[None]:
    """Turn errors of a model's own code, other than those of full memory, into one line.

    Raises:
        FailedForward: names the model and the first sample of the batch.
    """
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise FailedForward(f"{name} fails on the batch of sample {sample!r}: {short_line(error)}") from error


class NotFinite(VlalignError):
    """Features or a loss that are not finite."""


@dataclass
class ShardFeatures:
    """Features of one shard in the order of the data set.

    Attributes:
        features: for each pool, layer name to ``[n, D_layer]`` float32 on the CPU.
        extras: name to ``[n]``.
        norms: measurements of :func:`~vlalign.extraction.pools.measure`, ``[n, L, 3]``.
    """

    features: list[dict[str, Tensor]]
    extras: dict[str, Tensor]
    norms: Tensor

    def token_norms(self, tokens: Sequence[Sequence[int]] | None, pieces: Mapping[int, str] | None) -> TokenNorms:
        """Return the measurements as a run stores them.

        Args:
            tokens: ids of each sample's tokens; None for images.
            pieces: texts of frequent token ids.
        """
        import numpy as np

        ratio, share, position = (self.norms[..., i].numpy() for i in range(3))
        places = position.astype(np.int32)
        chosen = None
        if tokens is not None:
            chosen = np.array([[ids[at] for at in row] for ids, row in zip(tokens, places, strict=True)], np.int32)
        return TokenNorms(np.ascontiguousarray(ratio), np.ascontiguousarray(share), places, chosen, pieces)


#: puts the features of a shard together, in any thread, so that the model need not wait for it
Assemble = Callable[[], ShardFeatures]


class _Assembly:
    """Collector of batches, in any order, for a group of shards; it refuses features that are not finite."""

    def __init__(self, taps: Sequence[Tap], ids: Sequence[str], model: str) -> None:
        self._taps, self._ids, self._model = taps, ids, model
        self._batches: list[tuple[Sequence[int], Pooled, dict[str, Tensor]]] = []

    def put(self, rows: Sequence[int], pooled: Pooled, **extras: Tensor) -> None:
        """Put a batch.

        Args:
            rows: of the data set.
            pooled: for each pool, then of the measurements.
            extras: name to ``[B]``.

        Raises:
            NotFinite: names the first sample and layer.
        """
        import torch

        if not torch.isfinite(pooled.sums).all():
            self._check(rows, pooled)  # large values may have an infinite sum
        for name, values in extras.items():
            if not torch.isfinite(values).all():
                bad = int((~torch.isfinite(values)).nonzero()[0, 0])
                raise NotFinite(
                    f"{self._model}: {name} of sample {self._ids[rows[bad]]!r} are not finite, because the head's "
                    "values are not: try --dtype float32, or leave the loss out with --no-loss"
                )
        self._batches.append((rows, pooled, extras))

    def _check(self, rows: Sequence[int], pooled: Pooled) -> None:
        import torch

        for vectors in pooled.kinds[:-1]:
            for tap, state in zip(self._taps, vectors, strict=True):
                if not torch.isfinite(state).all():
                    bad = int((~torch.isfinite(state)).any(1).nonzero()[0, 0])
                    raise NotFinite(
                        f"{self._model}: features of sample {self._ids[rows[bad]]!r} are not finite at layer "
                        f"{tap.name}: try --dtype float32 or bfloat16 (float16 overflows in some models)"
                    )

    def shard(self, shard: Shard) -> ShardFeatures:
        """Put the features of one shard together, once all its rows have been put; any thread may call this."""
        import torch

        pools = len(self._batches[0][1].kinds) - 1
        features = [{tap.name: torch.empty(shard.rows, tap.width) for tap in self._taps} for _ in range(pools)]
        norms = torch.empty(shard.rows, len(self._taps), 3)
        extras: dict[str, Tensor] = {}
        for rows, pooled, values in self._batches:
            chosen = torch.tensor([i for i, row in enumerate(rows) if shard.start <= row < shard.stop])
            places = torch.tensor([row - shard.start for row in rows if shard.start <= row < shard.stop])
            if not len(chosen):
                continue
            *vectors, measured = pooled.kinds
            norms[places] = torch.stack(measured, dim=1)[chosen]
            for one, states in zip(features, vectors, strict=True):
                for tap, state in zip(self._taps, states, strict=True):
                    one[tap.name].index_copy_(0, places, state if len(chosen) == len(rows) else state[chosen])
            for name, value in values.items():
                extras.setdefault(name, torch.zeros(shard.rows, dtype=value.dtype))[places] = value[chosen]
        return ShardFeatures(features, extras, norms)


@dataclass
class _Work:
    """A group of shards, the wanted ones, their rows, and the batches of the group that hold any of these rows."""

    group: Sequence[Shard]
    wanted: list[Shard]
    rows: set[int]
    batches: list[list[int]]

    def count(self, rows: Sequence[int]) -> int:
        """Count the wanted ones of these rows."""
        return sum(map(self.rows.__contains__, rows))


def _planned(
    shards: Sequence[Shard], groups: Groups | None, cut: Callable[[range], list[list[int]]]
) -> Iterator[_Work]:
    """Yield the work of each group.

    A batch is of the whole group, whatever is wanted: so a run that is resumed reads the same batches again.

    Args:
        shards: wanted; ``advance`` of a reader counts their samples after each batch.
        groups: consecutive shards that share batches, see :func:`~vlalign.extraction.batches.group_shards`; by default
            each shard is a group.
        cut: rows of a group to batches.
    """
    kept = set(shards)
    for group in groups or [[shard] for shard in shards]:
        wanted = [shard for shard in group if shard in kept]
        rows = {row for shard in wanted for row in range(shard.start, shard.stop)}
        batches = cut(range(group[0].start, group[-1].stop))
        yield _Work(group, wanted, rows, [batch for batch in batches if not rows.isdisjoint(batch)])


@dataclass
class TextReader:
    """Reader of texts with a text model.

    Args:
        model: loaded.
        name: shown in messages.
        ids: sample ids.
        tokens: token ids per sample.
        byte_counts: UTF-8 bytes per text, for bits per byte: ``bytes`` of the whole text and, where texts are
            truncated, ``bytes_read`` of the part that is read.
        pools: names, see :func:`~vlalign.extraction.pools.pool_tokens`.
        batch_tokens: budget of a batch, padding included.
        special: how many special tokens a text begins and ends with.
    """

    model: TextModel
    name: str
    ids: Sequence[str]
    tokens: Sequence[Sequence[int]]
    byte_counts: Mapping[str, Sequence[int]]
    pools: Sequence[str]
    batch_tokens: int
    special: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.taps = self.model.taps
        module: Any = self.model.module
        self._attention = module.config.attention_type if hasattr(module, "set_attention_type") else None
        self._halving = Halving(
            self._forward, lambda rows: len(rows) * max(len(self.tokens[r]) for r in rows), "tokens", "--batch-tokens"
        )

    def read(
        self, shards: Sequence[Shard], advance: Advance, groups: Groups | None = None
    ) -> Iterator[tuple[Shard, Assemble]]:
        """Yield every shard with a function that returns its features; see :func:`_planned` for the arguments."""
        hooked = [] if self.model.own_states else self.taps
        with StatePooler(self.model.module, self.taps, self._reduce, entering=True, hooked=hooked) as pooler:
            self._pooler = pooler
            for work in _planned(shards, groups, self._batches):
                assembly = _Assembly(self.taps, self.ids, self.name)
                for batch in work.batches:
                    with forwards(self.name, self.ids[batch[0]]):
                        for rows, (pooled, extras) in self._halving(batch):
                            assembly.put(rows, pooled, **extras)
                            advance(work.count(rows))
                yield from ((shard, partial(assembly.shard, shard)) for shard in work.wanted)

    def _batches(self, rows: range) -> list[list[int]]:
        """Cut rows of the data set into batches."""
        budget = 1 if self.model.batches == "single" else self.batch_tokens
        lengths = [len(self.tokens[row]) for row in rows]
        batches = token_batches(lengths, budget, equal=self.model.batches == "equal")
        return [[rows[i] for i in batch] for batch in batches]

    def _reduce(self, state: Tensor, tap: Tap) -> list[Tensor]:
        if self._attention is not None:
            state = state[:, : self._mask.shape[1]]  # BigBird pads on the right to whole blocks
        if state.ndim != 3 or state.shape[:2] != self._mask.shape or state.shape[2] != tap.width:
            texts, tokens = self._mask.shape
            raise MisshapenState(
                f"{tap.name} of {texts} × {tokens} tokens is {list(state.shape)} and not {[texts, tokens, tap.width]}"
            )
        return pool_tokens(state, self._mask, self.pools, self.special)

    def _forward(self, rows: list[int]) -> tuple[Pooled, dict[str, Tensor]]:
        import torch

        self._pooler.discard()
        ids, mask = pad_right([self.tokens[row] for row in rows])
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        self._mask = mask
        arguments: dict[str, Any] = {"input_ids": ids, "attention_mask": mask.long()}
        if "use_cache" in self.model.accepts:
            arguments["use_cache"] = False
        if self._attention is not None:  # BigBird keeps to full attention after a first short text
            self.model.module.set_attention_type(self._attention)  # type: ignore[operator]
        extras: dict[str, Tensor] = {"tokens": torch.tensor([len(self.tokens[row]) for row in rows])}
        with torch.inference_mode():
            if self.model.full is not None:
                output = self.model.full(**arguments, output_hidden_states=True)
                states = output.hidden_states
                extras["bits"] = bits_per_text(output.logits, ids, mask, lambda logits: logits)
            else:
                more = {"output_hidden_states": True} if self.model.own_states else {}
                output = self.model.module(**arguments, **more)
                if getattr(output, "last_hidden_state", None) is None:
                    raise MisshapenState("its output holds no last_hidden_state")
                states = output.hidden_states if self.model.own_states else [output.last_hidden_state]
                if self.model.head is not None:
                    extras["bits"] = bits_per_text(output.last_hidden_state, ids, mask, self.model.head)
            by_hand = slice(None) if self.model.own_states else slice(-1, None)
            for tap, state in zip(self.taps[by_hand], states[by_hand], strict=True):
                self._pooler.add(tap, state)
        if "bits" in extras:
            for name, counts in self.byte_counts.items():
                extras[name] = torch.tensor([counts[row] for row in rows])
        return self._pooler.collect(), extras


def pad_right(sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Pad to token ids ``[B, T]`` (int64) and mask ``[B, T]`` (bool); the id under the mask is 0 and never counts."""
    import torch

    longest = max(map(len, sequences))
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence)] = torch.tensor(sequence)
        mask[i, : len(sequence)] = True
    return ids, mask


@dataclass
class VisionReader:
    """Reader of images with a vision model; other processes decode and preprocess ahead of it.

    Args:
        model: loaded.
        name: shown in messages.
        data: the images.
        preprocessing: pictures to pixels.
        pools: names, see :func:`~vlalign.extraction.pools.pool_patches`.
        batch_images: images per batch.
        workers: processes that decode, see :func:`~vlalign.extraction.decoding.decode`.
    """

    model: VisionModel
    name: str
    data: PairedData | EditedImages
    preprocessing: Preprocessing
    pools: Sequence[str]
    batch_images: int
    workers: int

    def __post_init__(self) -> None:
        self.taps = self.model.taps
        self._halving = Halving(self._forward, len, "images", "--batch-images")

    def read(
        self, shards: Sequence[Shard], advance: Advance, groups: Groups | None = None
    ) -> Iterator[tuple[Shard, Assemble]]:
        """Yield every shard with a function that returns its features; see :func:`_planned` for the arguments."""
        pinned = self.model.device.type == "cuda"
        works = list(_planned(shards, groups, self._batches))
        flat = [batch for work in works for batch in work.batches]
        images = decode(self.data, self.preprocessing, flat, self.workers, pinned)
        with forwards(self.name, self.data.ids[flat[0][0]]):  # the first batch would fail, too
            layout = try_images(self.model, self.name, self.preprocessing.size)

        def reduce(state: Tensor, tap: Tap) -> list[Tensor]:
            return pool_patches(state, tap, self.pools, layout)

        with StatePooler(self.model.module, self.taps, reduce, entering=False) as pooler:
            self._pooler = pooler
            for work in works:
                assembly = _Assembly(self.taps, self.data.ids, self.name)
                for batch in work.batches:
                    self._pixels, self._first = next(images), batch[0]
                    with forwards(self.name, self.data.ids[batch[0]]):
                        for rows, pooled in self._halving(batch):
                            assembly.put(rows, pooled)
                            advance(work.count(rows))
                yield from ((shard, partial(assembly.shard, shard)) for shard in work.wanted)
        next(images, None)  # lets its processes end by themselves

    def _batches(self, rows: range) -> list[list[int]]:
        """Cut rows of the data set into batches."""
        return [list(rows[start : start + self.batch_images]) for start in range(0, len(rows), self.batch_images)]

    def _forward(self, rows: list[int]) -> Pooled:
        self._pooler.discard()
        read_states(self.model, self._pooler, self._pixels[rows[0] - self._first : rows[-1] + 1 - self._first])
        return self._pooler.collect()
