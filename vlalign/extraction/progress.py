"""Progress of an extraction: a bar per run, or a caller's own display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

from vlalign.display import visible
from vlalign.tracking import LOG_SECONDS

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

    from vlalign.extraction.plan import ModelPlan
    from vlalign.store import RunWriter, Shard

#: display of a run: opened when the run begins, it gives a function that receives the number of samples done in all
#: when weights are loaded and after each batch (main process only)
Progress = Callable[["ModelPlan"], AbstractContextManager[Callable[[int], object]]]


_LOOK_SECONDS = 1.0  # between two looks for the shards of other processes


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


def logged(tracker: GeneralTracker) -> Progress:
    """Return a display that logs the samples done and the speed of each run, under the run's title.

    Args:
        tracker: that was started.
    """

    @contextmanager
    def follow(plan: ModelPlan) -> Iterator[Callable[[int], object]]:
        kept = latest = plan.data.n - plan.to_do
        start = last = time.monotonic()

        def log() -> None:
            speed = (latest - kept) / max(time.monotonic() - start, 1e-9)
            tracker.log({f"{plan.key.title}/samples": latest, f"{plan.key.title}/samples per second": speed})

        def update(done: int) -> None:
            nonlocal latest, start, last
            latest = done
            if done == kept:
                start = time.monotonic()  # the weights are loaded
            if time.monotonic() - last >= LOG_SECONDS:
                last = time.monotonic()
                log()

        yield update
        if plan.to_do:
            log()

    return follow


@contextmanager
def followed(
    plan: ModelPlan, writer: RunWriter, mine: Sequence[Shard], displays: Sequence[Progress]
) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts own samples; those of the other processes count when their shards appear."""
    if not displays:
        yield lambda count: None
        return
    own_shards = set(mine)
    count = len(writer.shards)
    others = {one: writer.layout.shard(one, count) for one in plan.missing if one not in own_shards}
    own, theirs, looked = 0, 0, -_LOOK_SECONDS
    with ExitStack() as stack:
        updates = [stack.enter_context(display(plan)) for display in displays]

        def advance(count: int) -> None:
            nonlocal own, theirs, looked
            own += count
            if others and time.monotonic() - looked >= _LOOK_SECONDS:
                for shard in [shard for shard, path in others.items() if path.exists()]:
                    theirs += shard.rows
                    del others[shard]
                looked = time.monotonic()
            for update in updates:
                update(plan.data.n - plan.to_do + own + theirs)

        yield advance
        looked = -_LOOK_SECONDS
        advance(0)
