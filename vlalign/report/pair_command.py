"""The commands that make a score again, from what its record says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vlalign.metrics.base import metric_text
from vlalign.models.registry import ALIASES

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord

_STORE = "features"


def pair_commands(record: ScoreRecord) -> list[str]:
    """Extraction (or pulling) of both sides and the score, as shell lines; empty for tensors, which no command makes.

    The runs are named with digits of their keys: features that come out under another key are not taken for them.
    """
    sides = [record.x, record.y]
    if not all(side["run"] for side in sides):
        return []
    lines = [pull_command(side["run"]) or extract_command(side["run"]["key"]) for side in sides]
    return [*dict.fromkeys(line for line in lines if line), score_command(record)]


def score_command(record: ScoreRecord) -> str:
    """``vlalign score`` with every setting that the record knows of."""
    runs = [f"{side['model']}@{side['run']['hash'][:12]}" for side in (record.x, record.y)]
    plain = [run.partition("@")[2] if " " in run else run for run in runs]  # edits are part of the key already
    line = ["vlalign", "score", _STORE, *plain, "--metric", metric_text(record.metric["name"], record.metric["params"])]
    line += ["--preset", str(record.preprocessing["preset"])]
    null, interval = record.null or {}, record.interval or {}
    line += ["--permutations", str(null.get("asked") or null.get("permutations") or 0)]
    line += ["--half-samples", str(interval.get("count") or 0)]
    seed = null.get("seed", interval.get("seed"))
    line += ["--seed", str(seed)] if seed else []
    groups = record.pairing.get("groups")
    line += ["--groups", str(groups.get("source"))] if isinstance(groups, dict) else []
    line += ["--concat"] if record.axes["x"][-1].get("index") == -1 else []
    line += ["--report", "full"] if record.curves is not None else []
    return shlex.join(line)


def pull_command(run: Mapping[str, Any]) -> str:
    """``vlalign pull`` for a run whose features were rounded on the Hub; empty for others, which are extracted."""
    facts = run.get("facts")
    told = facts.get("stored") if isinstance(facts, dict) else None
    if not run["key"].get("stored") or not isinstance(told, dict) or not told.get("from"):
        return ""
    line = ["vlalign", "pull", str(told["from"]), "--revision", str(told.get("commit")), "--store", _STORE]
    return shlex.join([*line, "--config", str(told.get("config"))])


def extract_command(key: Mapping[str, Any]) -> str:
    """``vlalign extract`` for a run key; empty where the key does not name model and data, or was pulled from a place
    that nothing names."""
    model, data = key.get("model"), key.get("data")
    if key.get("stored") or not isinstance(model, dict) or not isinstance(data, dict) or not data.get("name"):
        return ""
    line = ["vlalign", "extract", "--store", _STORE, "--model", _model(model)]
    revision = model.get("revision")
    if isinstance(revision, str) and str(model.get("source", "")).startswith("hub:"):
        line += ["--revision", revision]
    for flag in ("dtype", "quantization"):
        if key.get(flag) not in (None, "none"):
            line += [f"--{flag}", str(key[flag])]
    line += ["--data", str(data["name"])]
    for flag, name in (
        ("--data-revision", "revision"), ("--data-config", "config"), ("--split", "split"),
        ("--image-column", "image_column"), ("--text-column", "text_column"), ("--caption", "caption"),
        ("--max-samples", "n"),
    ):  # fmt: skip
        if data.get(name) is not None and (name, data[name]) not in (("split", "train"), ("caption", 0)):
            line += [flag, str(data[name])]
    line += _reading(key, str(model.get("modality")))
    for edit in key.get("perturbations") or []:
        if isinstance(edit, dict) and "operation" in edit:
            more = {name: value for name, value in edit.items() if name not in ("operation", "rate", "version")}
            if not more.get("seed"):
                more.pop("seed", None)
            if edit["operation"] == "captions_file":  # the key knows the captions by their hash only
                more = {"file": "CAPTIONS.json", **more}
            given = "".join(f",{name}={value}" for name, value in more.items())
            line += ["--perturb", f"{edit['operation']}:{edit.get('rate')}{given}"]
    return shlex.join(line)


def _reading(key: Mapping[str, Any], modality: str) -> list[str]:
    """Pooling, and the size of what is read."""
    line = []
    pool = key.get("pooling")
    if pool and pool != {"text": "mean", "vision": "cls"}.get(modality):
        line += [f"--{modality}-pool", str(pool)]
    image, text = key.get("image"), key.get("text")
    size = image.get("input_size") if isinstance(image, dict) else None
    if isinstance(size, list) and size:
        line += ["--image-size", str(size[-1])]
    if isinstance(text, dict) and text.get("max_length"):
        line += ["--max-length", str(text["max_length"])]
    return line


def _model(model: Mapping[str, Any]) -> str:
    """The alias, else the source; of a local folder only the name is known."""
    name, source = str(model.get("name")), str(model.get("source") or "")
    if name in ALIASES or not source:
        return name
    scheme, _, where = source.partition(":")
    return f"./{where}" if scheme == "local" else where if scheme == "gguf" else source
