"""Cards: Jinja Markdown templates from ``cards/``, filled in, with the metadata that the Hub reads at their top."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from vlalign.display import visible
from vlalign.errors import VlalignError

TEMPLATES = ("embeddings", "results", "perturbed", "synthetic")
#: what every card's metadata has to hold
REQUIRED = ("pretty_name", "license", "size_categories", "tags", "configs", "source_datasets")
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")


def template(name: str) -> str:
    """The text of a template: from the installed package, or from ``cards/`` of a checkout."""
    for folder in (resources.files("vlalign") / "cards", Path(__file__).resolve().parents[2] / "cards"):
        file = folder / f"{name}.md"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise VlalignError(f"the template {name}.md of a card is missing: install vlalign again")


def render(name: str, metadata: Mapping[str, Any], **values: Any) -> str:
    """A filled-in card, checked.

    Args:
        name: of the template.
        metadata: for the Hub, in order; entries that are None or empty are left out.
        **values: what the template needs; all of it, or that is an error.

    Raises:
        VlalignError: the metadata lack something or do not survive being written as YAML.
    """
    import yaml
    from huggingface_hub import DatasetCard, DatasetCardData
    from jinja2 import Environment, StrictUndefined

    kept = {key: value for key, value in metadata.items() if value not in (None, [], "")}
    if missing := [key for key in REQUIRED if key not in kept]:
        raise VlalignError(f"the metadata of the {name} card lack {', '.join(missing)}")
    environment = Environment(  # Markdown: escaped by the filter md where text comes from outside
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"md": escape, "code": code, "quoted": quoted, "number": _number}
    told = DatasetCardData(**kept).to_yaml(line_break="\n")
    text = environment.from_string(template(name)).render(metadata=told, **values)
    if DatasetCard(text).data.to_dict() != kept or yaml.safe_load(told) != kept:
        raise VlalignError(f"the metadata of the {name} card cannot be written as YAML")
    return text


def escape(value: object) -> str:
    """Text that Markdown and HTML leave as it is, on one line and within a cell of a table.

    >>> escape("<b>a|b</b> `x`")
    '&lt;b&gt;a&#124;b&lt;/b&gt; &#96;x&#96;'
    """
    text = visible(" ".join(str(value).split()))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[|`\[\]\\]", lambda found: f"&#{ord(found.group())};", text)


def code(value: object) -> str:
    """Text as a piece of code within a line.

    >>> code("a `b`")
    "`a 'b'`"
    """
    return f"`{visible(' '.join(str(value).split())).replace('`', chr(39))}`"


def quoted(value: object) -> str:
    r"""Return text as a literal of Python, on one line.

    >>> print(quoted('a"b\x1b\u202e'))
    "a\"b\u001b\u202e"
    """
    return visible(json.dumps(str(value), ensure_ascii=False))


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.4f}"


def size_category(n: int) -> str:
    """The Hub's class of a number of rows.

    >>> size_category(999), size_category(1024), size_category(10**12)
    ('n<1K', '1K<n<10K', '1B<n<10B')
    """
    return _SIZES[min(len(_SIZES) - 1, max(0, len(str(max(n, 1))) - 3))]


def versions() -> dict[str, str]:
    """Of vlalign and what shapes files and features, for provenance."""
    from importlib.metadata import version

    from vlalign.version import __version__

    return {"vlalign": __version__} | {name: version(name) for name in ("torch", "transformers", "datasets", "pyarrow")}
