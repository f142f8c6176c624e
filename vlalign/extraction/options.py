"""Options of an extraction."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge
from cyclopts import Group, Parameter

from vlalign.config import Folder, FreeMany, Many, Options
from vlalign.data.spec import DataSpec, replace_keywords
from vlalign.errors import VlalignError
from vlalign.extraction.pools import PRESETS, TextPool, VisionPool

if TYPE_CHECKING:
    from vlalign.perturb import Perturbation

    Edits = tuple[str | Perturbation, ...] | list[str] | str
else:
    Edits = FreeMany  # parsed, and checked then


class FeatureOptions(Options, group=Group("Features", sort_key=2)):
    """How features are extracted, whatever the models; :mod:`vlalign.uniqueness` takes these options, too."""

    data: Annotated[DataSpec, Parameter(name="*")] = DataSpec()
    """data set and its columns"""

    store: Folder = "features"
    """folder of the feature store"""

    preset: Literal["platonic", "robust"] = "platonic"
    """convention of pooling and preprocessing; platonic, the published one: mean over tokens, class token, the
    checkpoint's own pixels; robust: averages leave out tokens and patches of a very large norm"""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """precision of the weights; auto reports its choice and the reason"""

    quantization: Literal["none", "int8", "nf4", "fp4"] = "none"
    """quantization of text models, by bitsandbytes"""

    parallel: Literal["replica", "split"] = "replica"
    """replica: one copy per process; split: one process spreads one copy over its devices"""

    image_size: Annotated[int, Ge(1)] | None = None
    """side of the input in pixels, instead of the checkpoint's own"""

    text_pool: Many[TextPool] | None = None
    """pools of text models, instead of the preset's: mean over tokens, without those of a very large norm (nosink),
    without special tokens (content), of normalised tokens (unit), or the last token; several make a run of each"""

    vision_pool: Many[VisionPool] | None = None
    """pools of vision models, instead of the preset's: class token, average over patches, or average without patches
    of a very large norm (nosink); several make a run of each"""

    max_length: Annotated[int, Ge(1)] | None = None
    """longest text in tokens, instead of the model's limit; longer texts are truncated and counted"""

    allow_empty: bool = False
    """let edits leave captions without any character"""

    loss: Annotated[bool, Parameter(negative="--no-loss")] = True
    """compute bits per byte of causal models"""

    batch_tokens: Annotated[int, Ge(1)] | None = None
    """tokens per text batch, padding included (default: by device)"""

    batch_images: Annotated[int, Ge(1)] | None = None
    """images per batch (default: by device)"""

    workers: Annotated[int, Ge(0)] | None = None
    """processes that decode images, at most one per core; 0 for the main process (default: by machine)"""

    shard_rows: Annotated[int, Ge(1)] = 128
    """samples per file of the store"""

    trust_remote_code: bool = False
    """let code from a model's repository run"""

    cpu: bool = False
    """stay on the CPU even if there is an accelerator"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cpu and self.parallel == "split":
            raise VlalignError(
                "--parallel split spreads a model over accelerators, but --cpu leaves them out: drop one"
            )

    def pools(self, modality: str) -> tuple[str, ...]:
        """Return the pools of a modality (``cls`` still depends on the model having a class token)."""
        chosen = self.text_pool if modality == "text" else self.vision_pool
        return tuple(dict.fromkeys(chosen or (PRESETS[self.preset][modality],)))


class ExtractOptions(FeatureOptions):
    """Options of an extraction; contradictions are refused when an instance is made.

    Raises:
        VlalignError: an invalid value, or two options that contradict each other.
    """

    models: Annotated[Many[str], Parameter(name="--model")] = dataclasses.field(default=(), kw_only=False)
    """alias (see `vlalign models`), Hub id, local folder, timm:NAME or GGUF file"""

    revision: str | None = None
    """branch, tag or commit of the model (one model only)"""

    perturb: Annotated[Edits, Parameter(metavar="EDIT...")] = ()
    """edit of captions or images, such as char_delete:30 or patch_delete:20,grid=8 (see `vlalign perturb --list`);
    edits are applied in the order given, and each modality's features depend on its own edits only"""

    def __post_init__(self) -> None:
        from vlalign.perturb import check_perturbations

        super().__post_init__()
        object.__setattr__(self, "perturb", check_perturbations(self.edits))
        if self.revision is not None and len(self.models) > 1:
            raise VlalignError(
                f"--revision {self.revision} names a commit of one model, but {len(self.models)} are given: "
                "extract that one in a separate command"
            )

    @property
    def edits(self) -> tuple[Perturbation, ...]:
        """Edits, parsed."""
        from vlalign.perturb import Perturbation, parse_perturbation

        return tuple(p if isinstance(p, Perturbation) else parse_perturbation(p) for p in self.perturb)


class ExtractKeywords(ExtractOptions):
    """Keywords of :func:`vlalign.extract`: a data set by its name, and paths where the options have texts."""

    models: str | Path | list[str | Path] | tuple[str | Path, ...] = dataclasses.field(kw_only=False)  # type: ignore[assignment]
    data: str | Path | DataSpec = DataSpec()  # type: ignore[assignment]
    store: str | Path = "features"  # type: ignore[assignment]

    progress: bool = False
    """show a progress bar on the main process"""

    def __post_init__(self) -> None:
        replace_keywords(self)
        super().__post_init__()
