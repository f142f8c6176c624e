"""Progress of an extraction: a bar per run, or a caller's own display."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from vlalign.display import visible

if TYPE_CHECKING:
    from vlalign.extraction.plan import ModelPlan
    from vlalign.store import RunWriter, Shard


class Progress(Protocol):
    """Receiver of the main process's reports: a run begins, its weights are loaded, samples are done, it ends."""

    def begin(self, plan: ModelPlan) -> None: ...

    def loaded(self, plan: ModelPlan) -> None: ...

    def update(self, plan: ModelPlan, done: int) -> None: ...

    def end(self, plan: ModelPlan) -> None: ...


class Bars:
    """A progress bar per run, over the samples of all processes."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, plan: ModelPlan) -> None:
        """Show the bar of a run that has work left."""
        from tqdm import tqdm

        if plan.missing:
            self._bar = tqdm(
                total=plan.data.n,
                initial=plan.data.n - plan.to_do,
                desc=visible(plan.key.title),
                unit=" samples",
                mininterval=0.5,
                smoothing=0.05,
                dynamic_ncols=True,
            )

    def loaded(self, plan: ModelPlan) -> None:
        """Do nothing."""

    def update(self, plan: ModelPlan, done: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def end(self, plan: ModelPlan) -> None:
        """Leave the bar where it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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

    def advance(count: int) -> None:
        nonlocal own
        own += count
        theirs = sum(s.rows for s in others if writer.layout.shard(s, len(writer.shards)).exists())
        progress.update(plan, plan.data.n - plan.to_do + own + theirs)

    progress.begin(plan)
    try:
        yield advance
        advance(0)
    finally:
        progress.end(plan)
