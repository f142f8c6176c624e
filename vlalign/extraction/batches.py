"""Batches that depend on the data alone, halved when they do not fit in memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from vlalign.errors import VlalignError
from vlalign.store.layout import Shard

logger = logging.getLogger(__name__)

T = TypeVar("T")


def token_batches(lengths: Sequence[int], budget: int, equal: bool = False) -> list[list[int]]:
    """Group samples of similar length so that no batch exceeds a budget of tokens, padding included.

    Args:
        lengths: tokens per sample.
        budget: most tokens in a batch; a longer sample makes a separate batch.
        equal: put only samples of the same length into a batch.

    Returns:
        Positions in ``lengths``, longest first (so that memory runs out at the beginning if at all).

    Example:
        >>> token_batches([3, 9, 4, 4], budget=8)
        [[1], [2, 3], [0]]
        >>> token_batches([3, 4, 4], budget=12), token_batches([3, 4, 4], budget=12, equal=True)
        ([[1, 2, 0]], [[1, 2], [0]])
    """
    batches: list[list[int]] = []
    longest = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or longest * (len(batches[-1]) + 1) > budget or (equal and lengths[i] != longest):
            batches.append([])
            longest = lengths[i]
        batches[-1].append(i)
    return batches


def group_shards(shards: Sequence[Shard], costs: Sequence[int], budget: int, most: int) -> list[list[Shard]]:
    """Group consecutive shards whose samples fit in a batch together, so that small shards share batches.

    Args:
        shards: all shards of a run, so that a group depends on the data alone: not on what is missing.
        costs: of each sample: its tokens, or 1 for an image.
        budget: largest cost of a group; a larger shard is a separate group.
        most: largest number of shards in a group, all of which are in memory at once.

    Example:
        >>> shards = [Shard(0, 0, 2), Shard(1, 2, 4), Shard(2, 4, 5)]
        >>> [[shard.index for shard in group] for group in group_shards(shards, [3, 3, 1, 1, 9], budget=8, most=4)]
        [[0, 1], [2]]
    """
    groups: list[list[Shard]] = []
    total = 0
    for shard in shards:
        cost = sum(costs[shard.start : shard.stop])
        if not groups or total + cost > budget or len(groups[-1]) == most:
            groups.append([])
            total = 0
        groups[-1].append(shard)
        total += cost
    return groups


class Halving(Generic[T]):
    """Runner of batches; one that does not fit in memory is halved, and so are all later ones of that cost.

    Args:
        run: called with a list of samples.
        cost: of a list of samples.
        unit: of the cost for the message, e.g. ``"images"``.
        flag: that sets the size of batches, for the message.
    """

    def __init__(self, run: Callable[[list[int]], T], cost: Callable[[list[int]], int], unit: str, flag: str) -> None:
        self._run, self._cost, self._unit, self._flag = run, cost, unit, flag
        self._limit: int | None = None

    def __call__(self, batch: list[int]) -> Iterator[tuple[list[int], T]]:
        """Yield ``(part, result)`` for the batch, in one part if it fits.

        Raises:
            VlalignError: one sample alone does not fit.
        """
        from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

        if self._limit is not None and len(batch) > 1 and self._cost(batch) > self._limit:
            yield from self._halves(batch)
            return
        try:
            result = self._run(batch)
        except (RuntimeError, MemoryError) as error:
            if not (should_reduce_batch_size(error) or isinstance(error, MemoryError)):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        else:
            yield batch, result
            return
        # outside of the except block, so that the traceback no longer holds the tensors that filled the memory
        gc.collect()
        clear_device_cache()
        if len(batch) == 1:
            raise VlalignError(
                f"out of memory on a single sample ({reason}): use --quantization, --parallel split or a GPU with more"
            )
        self._limit = self._cost(batch) // 2
        logger.warning(
            "out of memory with %d %s in a batch: continuing with half (%s sets it)",
            self._cost(batch), self._unit, self._flag,
        )  # fmt: skip
        yield from self._halves(batch)

    def _halves(self, batch: list[int]) -> Iterator[tuple[list[int], T]]:
        middle = len(batch) // 2
        yield from self(batch[:middle])
        yield from self(batch[middle:])
