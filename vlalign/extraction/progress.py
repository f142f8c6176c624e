"""Progress of an extraction: a bar per run, or a caller's own display."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from vlalign.display import visible

if TYPE_CHECKING:
    from vlalign.extraction.plan import ModelPlan
    from vlalign.store import RunWriter, Shard

#: display of a run: opened when the run begins, it gives a function that receives the number of samples done in all
#: when weights are loaded and after each batch (main process only)
Progress = Callable[["ModelPlan"], AbstractContextManager[Callable[[int], object]]]


@contextmanager
def bar(plan: ModelPlan) -> Iterator[Callable[[int], object]]:
    """Show the progress of a run over the samples of all processes; nothing if no work is left."""
    from tqdm import tqdm

    with tqdm(
        total=plan.data.n,
        initial=plan.data.n - plan.to_do,
        desc=visible(plan.key.title),
        unit=" samples",
        mininterval=0.5,
        smoothing=0.05,
        dynamic_ncols=True,
        disable=not plan.missing,
    ) as shown:
        yield lambda done: shown.update(done - shown.n)


@contextmanager
def followed(
    plan: ModelPlan, writer: RunWriter, mine: Sequence[Shard], progress: Progress | None
) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts own samples; those of the other processes count when their shards appear."""
    if progress is None:
        yield lambda count: None
        return
    others = [shard for shard in plan.missing if shard not in mine]
    own = 0
    with progress(plan) as update:

        def advance(count: int) -> None:
            nonlocal own
            own += count
            theirs = sum(s.rows for s in others if writer.layout.shard(s, len(writer.shards)).exists())
            update(plan.data.n - plan.to_do + own + theirs)

        yield advance
        advance(0)
