"""Commands that reproduce a study, or a score and its features, from what their files record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from vlalign.display import command_line
from vlalign.extraction.pools import PRESETS
from vlalign.models.registry import ALIASES
from vlalign.scoring.options import recorded_settings
from vlalign.store.importing import KIND
from vlalign.store.key import is_baseline

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

_STORE = "features"


def changed(kind: type, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not the defaults of their dataclass, lists as tuples.

    >>> from vlalign.synthetic import SyntheticConfig
    >>> changed(SyntheticConfig, SyntheticConfig(seeds=(1, 2), clip=9).resolved())
    {'seeds': (1, 2), 'clip': 9.0}
    """
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    return {entry.name: values[entry.name] for entry in fields(kind) if values[entry.name] != entry.default}


def pair_commands(record: ScoreRecord) -> list[str]:
    """Return shell lines that extract (or pull) both sides and score them; empty for tensors, which no command makes.

    The runs are named with digits of their keys, so features with another key are not mistaken for them.
    """
    sides = [record.x, record.y]
    if not all(side["run"] for side in sides):
        return []
    lines = [pull_command(side["run"]) or extract_command(side["run"]["key"]) for side in sides]
    return [*dict.fromkeys(line for line in lines if line), score_command(record)]


def score_command(record: ScoreRecord) -> str:
    """Return ``vlalign score`` with every setting that the record holds."""
    runs = [f"{side['model']}@{side['run']['hash'][:12]}" for side in (record.x, record.y)]
    plain = [run.partition("@")[2] if " " in run else run for run in runs]  # edits are part of the key already
    report = "full" if record.curves is not None else None
    return command_line("score", _STORE, *plain, **recorded_settings(record), report=report)


def pull_command(run: Mapping[str, Any]) -> str:
    """Return ``vlalign pull`` for a run whose features were rounded on the Hub; empty for others, to be extracted."""
    facts = run.get("facts")
    stored = facts.get("stored") if isinstance(facts, dict) else None
    if not run["key"].get("stored") or not isinstance(stored, dict) or not stored.get("from"):
        return ""
    return command_line(
        "pull", stored["from"], revision=str(stored.get("commit")), store=_STORE, config=str(stored.get("config"))
    )


def extract_command(key: Mapping[str, Any]) -> str:
    """Return ``vlalign extract`` for a run key, ``vlalign baselines``, or ``vlalign import`` for embeddings (FILE).

    It is empty where the key does not name model and data, or was pulled from a place that nothing names.
    """
    model, data = key.get("model"), key.get("data")
    if not isinstance(model, dict) or not isinstance(data, dict) or key.get("stored"):
        return ""
    if key.get("kind") == KIND:
        source, modality = f"{model.get('name')}=FILE", str(model.get("modality"))
        return command_line("import", source, store=_STORE, modality=modality, data_name=data.get("name"))
    if not data.get("name"):
        return ""
    on_hub = str(model.get("source", "")).startswith("hub:") and isinstance(model.get("revision"), str)
    modality, pool = str(model.get("modality")), key.get("pooling")
    image, text = key.get("image"), key.get("text")
    size = image.get("input_size") if isinstance(image, dict) else None
    image_size = size[-1] if isinstance(size, list) and size else None
    samples: dict[str, Any] = {
        "data": data["name"],
        "data_revision": data.get("revision"),
        "data_config": data.get("config"),
        "split": None if data.get("split") == "train" else data.get("split"),
        "image_column": data.get("image_column"),
        "text_column": data.get("text_column"),
        "caption": data.get("caption") or None,
        "max_samples": data.get("n"),
    }
    if is_baseline(key):
        random = model.get("random")
        if not isinstance(random, dict):
            return command_line("baselines", store=_STORE, **samples)
        name = _model({**model, **random, "name": str(model.get("name")).removeprefix("random ")})
        seed = random.get("seed") or None
        return command_line("baselines", store=_STORE, model=name, **samples, image_size=image_size, seed=seed)
    return command_line(
        "extract", store=_STORE, model=_model(model), revision=model["revision"] if on_hub else None,
        **{name: None if key.get(name) == "none" else key.get(name) for name in ("dtype", "quantization")},
        **samples,
        **{f"{modality}_pool": None if pool == PRESETS["platonic"].get(modality) else pool},
        image_size=image_size,
        max_length=(text.get("max_length") if isinstance(text, dict) else None) or None,
        perturb=[
            _edit(edit) for edit in key.get("perturbations") or [] if isinstance(edit, dict) and "operation" in edit
        ],
    )  # fmt: skip


def _edit(edit: Mapping[str, Any]) -> str:
    parameters = {name: value for name, value in edit.items() if name not in ("operation", "rate", "version")}
    if not parameters.get("seed"):
        parameters.pop("seed", None)
    if edit["operation"] == "captions_file":  # the key knows the captions by their hash only
        parameters = {"file": "CAPTIONS.json", **parameters}
    return f"{edit['operation']}:{edit.get('rate')}{''.join(f',{name}={value}' for name, value in parameters.items())}"


def _model(model: Mapping[str, Any]) -> str:
    """Return the alias, else the source; of a local folder only the name is known."""
    name, source = str(model.get("name")), str(model.get("source") or "")
    if name in ALIASES or not source:
        return name
    scheme, _, where = source.partition(":")
    return f"./{where}" if scheme == "local" else where if scheme == "gguf" else source
