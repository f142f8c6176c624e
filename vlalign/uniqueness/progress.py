"""How long a study still takes: what was measured of each model goes on, what was not is scaled from its kin."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vlalign.display import visible

if TYPE_CHECKING:
    from vlalign.extraction import ModelPlan

_MARKS = (0.05, 0.1, 0.25, 0.5, 0.75)  # of the whole time: where the estimate is compared with the truth


@dataclass
class Work:
    """A part of the study whose cost per unit is one number: a model's forwards, or the scores.

    Attributes:
        kind: ``text``, ``vision`` or ``score``: parts of one kind err alike.
        amount: units in all (tokens, images, layer pairs).
        expected: seconds that all of it should take, as far as is known beforehand.
        done: units done.
        seconds: that they took.
    """

    kind: str
    amount: float
    expected: float
    done: float = 0.0
    seconds: float = 0.0


@dataclass
class Forecast:
    """Seconds left of several parts; knows nothing of clocks.

    >>> forecast = Forecast({"a": Work("text", 100, 10.0), "b": Work("text", 50, 5.0)})
    >>> forecast.add("a", 50, 10.0)  # twice as slow as expected
    >>> forecast.left()
    20.0
    """

    works: dict[Hashable, Work] = field(default_factory=dict)

    def add(self, name: Hashable, amount: float, seconds: float) -> None:
        """So much of a part was done in so many seconds."""
        work = self.works[name]
        work.done += amount
        work.seconds += seconds

    def left(self) -> float:
        """Seconds that the rest takes at the speeds measured; unmeasured parts at that of their kind, else of all."""
        return sum(max(0.0, work.amount - work.done) * self._pace(work) for work in self.works.values())

    def _pace(self, work: Work) -> float:
        """Seconds a unit."""
        if work.done > 0 and work.seconds > 0:
            return work.seconds / work.done
        kin = [other for other in self.works.values() if other.kind == work.kind and other.done > 0]
        kin = kin or [other for other in self.works.values() if other.done > 0]
        expected = sum(other.expected * other.done / other.amount for other in kin)
        slower = sum(other.seconds for other in kin) / expected if expected > 0 else 1.0
        return work.expected / work.amount * slower if work.amount else 0.0


class StudyProgress:
    """One bar for a whole study, with the time left; keeps its estimates, to be compared with the truth at the end.

    Args:
        works: the parts, by name; the extraction of a model is named by its spec, the scores by ``score``.
        shown: whether the bar is drawn.
        clock: seconds, for tests.
    """

    def __init__(
        self, works: dict[Hashable, Work], shown: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from tqdm import tqdm

        self._forecast = Forecast(works)
        self._clock = clock
        self._start = self._last = clock()
        self._done = 0
        self._model: Any = None
        self.estimates: list[tuple[float, float]] = []
        self._bar: Any = tqdm(
            total=100,
            disable=not shown,
            bar_format="{l_bar}{bar}| {elapsed} passed{postfix}",
            mininterval=0.5,
            dynamic_ncols=True,
        )

    # -- what the extraction tells -------------------------------------------------------------------------------------
    def begin(self, plan: ModelPlan) -> None:
        """A run begins."""
        self._done = plan.samples - plan.to_do
        self._show(plan.title)

    def loaded(self, plan: ModelPlan) -> None:
        """Its weights are there: the time that they took says nothing of the pace."""
        if plan.source.spec != self._model:
            self._last, self._model = self._clock(), plan.source.spec

    def update(self, plan: ModelPlan, done: int) -> None:
        """So many samples of a run are done."""
        if done > self._done:
            self._count(plan.source.spec, plan.amount * (done - self._done) / plan.to_do)
            self._done = done
            self._show(plan.title)

    def end(self, plan: ModelPlan) -> None:
        """A run is whole."""

    # -- what the scoring tells ----------------------------------------------------------------------------------------
    def scored(self, title: str, amount: float) -> None:
        """A pair was scored."""
        self._count("score", amount)
        self._show(title)

    def __enter__(self) -> StudyProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._bar.close()
            return
        self._bar.set_postfix_str("", refresh=False)
        self._bar.update(100 - self._bar.n)
        self._bar.close()

    @property
    def left(self) -> float:
        """Seconds left, as estimated now."""
        return self._forecast.left()

    def accuracy(self) -> dict[str, float]:
        """Estimated over true time left, where 5, 10, 25, 50 and 75 % of the whole time had passed; {} if too short.

        Time left is counted from that moment to now: call it at the end.
        """
        whole = self._clock() - self._start
        found = {}
        for mark in _MARKS:
            passed = [(at, left) for at, left in self.estimates if at <= mark * whole]
            if passed and passed[-1][0] < whole:
                at, left = passed[-1]
                found[f"{mark:.0%}"] = round(left / (whole - at), 3)
        return found

    def _count(self, name: Hashable, amount: float) -> None:
        now = self._clock()
        self._forecast.add(name, amount, now - self._last)
        self._last = now

    def _show(self, title: str) -> None:
        passed, left = self._clock() - self._start, self.left
        self.estimates.append((passed, left))
        share = int(100 * passed / (passed + left)) if passed + left > 0 else 0
        self._bar.set_postfix_str(f"about {_text(left)} left: {visible(title)}", refresh=False)
        self._bar.update(max(0, min(99, share) - self._bar.n))
        self._bar.refresh()


def _text(seconds: float) -> str:
    """
    >>> _text(12), _text(300), _text(9000)
    ('12 s', '5 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
