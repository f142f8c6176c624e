"""Progress of a uniqueness study: one bar over extraction and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vlalign.study.progress import StudyProgress

if TYPE_CHECKING:
    from vlalign.extraction import ModelPlan


class UniquenessProgress(StudyProgress):
    """Progress whose parts are the extraction of each model, named by its spec, and the scores, named ``score``."""

    _model: Any = None

    @contextmanager
    def follow(self, plan: ModelPlan) -> Iterator[Callable[[int], None]]:
        """Follow the extraction of a run, see :data:`vlalign.extraction.progress.Progress`."""
        before, spec = plan.data.n - plan.to_do, plan.source.spec

        def update(done: int) -> None:
            nonlocal before
            if spec != self._model:  # its weights are loaded: the time that this took is no part of the speed
                self._last, self._model = self._clock(), spec
            if done > before:
                amount, before = plan.amount * (done - before) / plan.to_do, done
                self.advance(amount, spec, plan.key.title)

        self.show(plan.key.title)
        yield update
