"""Settings of a uniqueness study."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval
from cyclopts import Parameter

from vlalign.config import Folder, Many, Number, select
from vlalign.errors import VlalignError
from vlalign.extraction.options import ExtractOptions, FeatureOptions
from vlalign.perturb import Perturbation, parse_perturbation
from vlalign.scoring.options import NeighbourOptions, NullOptions
from vlalign.study.config import StudyConfig

_Model = Annotated[str, Parameter(metavar="MODEL")]


class UniquenessConfig(FeatureOptions, NeighbourOptions, NullOptions, StudyConfig):
    """Settings of a uniqueness study, with those of its extractions and scores.

    Raises:
        VlalignError: an invalid value, or two settings that contradict each other.
    """

    RUNNING: ClassVar[tuple[str, ...]] = (
        "out", "allow_empty", "batch_tokens", "batch_images", "workers", "shard_rows", "cpu", "parallel", "store",
    )  # fmt: skip
    GRID: ClassVar[tuple[str, ...]] = ("x", "y", "rates")
    ANALYSIS: ClassVar[tuple[str, ...]] = ("axis", "encoder")

    x: Many[_Model] = ()
    """models of one side, usually vision; each is scored with each of the other side"""

    y: Many[_Model] = ()
    """models of the other side, usually language"""

    op: str = ""
    """operation that edits one side, with its parameters but without rate and seed, such as char_delete,
    patch_delete:grid=8 or captions_file:file=edits.json (see `vlalign perturb --list`)"""

    rates: Many[Annotated[Number, Interval(ge=0, le=100), Parameter(metavar="PERCENT")]] = ()
    """rates of the edits in percent; 0, the unedited baseline, is always among them"""

    seed: Annotated[int, Ge(0)] = 0
    """random seed of the edits"""

    side: Literal["auto", "x", "y"] = "auto"
    """edited side; auto: that of the operation's modality, y if both are"""

    metric: str = "mutual_knn"
    """alignment metric, with parameters as name:param=value,… (see `vlalign metrics`)"""

    axis: Literal["rate", "similarity"] = "rate"
    """similarity: also show alignment against the measured similarity of edited and original captions, the mean cosine
    in a sentence encoder or in the file of edited captions; U itself counts edits only"""

    encoder: Annotated[str | None, Parameter(metavar="MODEL")] = None
    """sentence encoder of --axis similarity: its mean over tokens in the last layer (default: the similarities in the
    file of captions_file)"""

    out: Folder = "study"
    """folder of records, tables, figures and report"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("x", "y", "op", "rates"):
            if not getattr(self, name):
                raise VlalignError(f"required: {name}: give --{name}, or {name}: in a settings file")
        for side in ("x", "y"):
            names = tuple(dict.fromkeys(name.strip() for name in getattr(self, side)))
            if not all(names):
                raise VlalignError(f"--{side}: expected names of models, none empty (`vlalign models` lists them)")
            object.__setattr__(self, side, names)
        object.__setattr__(self, "rates", tuple(sorted({0.0, *(rate + 0.0 for rate in self.rates)})))  # no -0.0
        _check_op(self.op)
        for rate in self.rates:
            self.perturbation(rate)
        for flag, given in (("--text-pool", self.text_pool), ("--vision-pool", self.vision_pool)):
            if given and len(given) > 1:
                raise VlalignError(f"{flag} {' '.join(given)}: a study takes one pool; run one study for each")
        _check_axis(self)
        if not self.metric.strip():
            raise VlalignError("--metric is empty: leave it out for the default")

    def perturbation(self, rate: float) -> Perturbation:
        """Return the edit at a rate."""
        return parse_perturbation(self.op, rate=rate, seed=self.seed)

    @property
    def models(self) -> tuple[str, ...]:
        """All models, each once, that of similarities last."""
        return tuple(dict.fromkeys([*self.x, *self.y, *([self.encoder] if self.encoder else [])]))

    def extraction(self, models: Iterable[str]) -> ExtractOptions:
        """Return the options of an extraction of some of the models."""
        return select(self, ExtractOptions, models=tuple(models))

    def resolved(self) -> dict[str, Any]:
        """Return all settings as JSON values, those of the study before those of extractions and scores."""
        values = super().resolved()
        values["rates"] = [int(rate) if rate == int(rate) else rate for rate in self.rates]
        return {name: values[name] for name in ("x", "y", "op", "rates", "seed", "side", "data")} | values

    def identity(self) -> dict[str, Any]:
        """Return the settings in which two runs of one study agree, with all parameters of the operation."""
        values = super().identity()
        edit, data = self.perturbation(0), values.pop("data")
        values["op"] = ",".join([edit.name, *(f"{name}={value}" for name, value in edit.parameters.items())])
        return values | {f"data.{name}": value for name, value in data.items()}


def _check_axis(config: UniquenessConfig) -> None:
    """Refuse an encoder that nothing asks for, and similarities that cannot be measured or read."""
    if config.axis == "rate":
        if config.encoder is not None:
            raise VlalignError("--encoder measures similarities: give --axis similarity, too")
        return
    edit = config.perturbation(0)
    if edit.modality != "text":
        raise VlalignError(f"--axis similarity: {edit.name} edits images; similarity is that of captions")
    if config.encoder is not None:
        if (pools := config.pools("text")) != ("mean",):
            flag = "--text-pool" if config.text_pool else f"--preset {config.preset}"
            raise VlalignError(
                f"--axis similarity: sentences are means over tokens, not {' '.join(pools)}: leave out {flag}"
            )
    elif edit.name != "captions_file":
        raise VlalignError(
            f"--axis similarity: no file states the similarity of captions after {edit.name}: name a sentence encoder, "
            "such as --encoder demo-minilm-l6"
        )


def _check_op(op: str) -> None:
    """Refuse an unknown operation, and one that names a rate or seed."""
    few, many = parse_perturbation(op, rate=0, seed=0), parse_perturbation(op, rate=100, seed=1)
    for what, flag, named in (("rate", "rates", few.rate == many.rate), ("seed", "seed", few.seed == many.seed)):
        if named:
            raise VlalignError(f"--op {op} names a {what}: leave it out and give --{flag}")
