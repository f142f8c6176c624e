"""Progress of a uniqueness study: one bar over extraction and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlalign.study.progress import StudyProgress

if TYPE_CHECKING:
    from vlalign.extraction import ModelPlan


class UniquenessProgress(StudyProgress):
    """Progress whose parts are the extraction of each model, named by its spec, and the scores, named ``score``.

    It follows an extraction, see :class:`vlalign.extraction.progress.Progress`.
    """

    _done = 0
    _model: Any = None

    def begin(self, plan: ModelPlan) -> None:
        """Show which run begins."""
        self._done = plan.data.n - plan.to_do
        self.show(plan.key.title)

    def loaded(self, plan: ModelPlan) -> None:
        """Leave the time that loading weights took out of the measured speed."""
        if plan.source.spec != self._model:
            self._last, self._model = self._clock(), plan.source.spec

    def update(self, plan: ModelPlan, done: int) -> None:
        """Count samples of a run: ``done`` in all."""
        if done > self._done:
            amount = plan.amount * (done - self._done) / plan.to_do
            self._done = done
            self.advance(amount, plan.source.spec, plan.key.title)

    def end(self, plan: ModelPlan) -> None:
        """Do nothing: the bar continues with the next run."""
