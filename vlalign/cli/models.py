"""List the models that have an alias.

Any other Hub id, local folder, timm:NAME or GGUF file works too, without being listed.

  vlalign models
  vlalign models --modality vision
  vlalign models --set prh
"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from vlalign.cli.output import Json, show_json
from vlalign.errors import VlalignError
from vlalign.models.registry import MODEL_SETS, MODELS


def run(
    *,
    modality: Literal["text", "vision"] | None = None,
    family: str | None = None,
    model_set: Annotated[Literal[*MODEL_SETS] | None, Parameter(name="--set")] = None,  # type: ignore[valid-type]
    json: Json = False,
) -> None:
    """Print the table.

    Args:
        modality: only models of this modality
        family: only models of this family, such as dinov2 or llama
        model_set: only the models of a published set
    """
    from dataclasses import asdict

    specs = [
        spec
        for spec in MODELS
        if modality in (None, spec.modality)
        and family in (None, spec.family)
        and (model_set is None or spec.alias in MODEL_SETS[model_set])
    ]
    if not specs:
        families = ", ".join(sorted({str(spec.family) for spec in MODELS}))
        raise VlalignError(f"no model matches: families are {families}")
    if json:
        show_json([asdict(spec) for spec in specs])
        return
    from vlalign.report.catalogue import models_table
    from vlalign.report.console import console

    console().print(models_table(specs))


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("models"))
