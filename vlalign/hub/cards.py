"""Cards of data sets on the Hub: Markdown templates from ``cards/`` with the metadata that the Hub reads."""

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
#: metadata that every card needs
REQUIRED = ("pretty_name", "license", "size_categories", "tags", "configs", "source_datasets")
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")


def template(name: str) -> str:
    """Return the text of a template: from the installed package, or from ``cards/`` of a checkout."""
    for folder in (resources.files("vlalign") / "cards", Path(__file__).resolve().parents[2] / "cards"):
        file = folder / f"{name}.md"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise VlalignError(f"the template {name}.md of a card is missing: install vlalign again")


def render(name: str, metadata: Mapping[str, Any], **values: Any) -> str:
    """Return a card, checked.

    Args:
        name: of the template.
        metadata: for the Hub, in order; None and empty entries are left out.
        **values: all variables of the template; a missing one is an error.

    Raises:
        VlalignError: the metadata lack an entry or change when written as YAML.
    """
    import yaml
    from huggingface_hub import DatasetCard, DatasetCardData
    from jinja2 import Environment, StrictUndefined

    kept = {key: value for key, value in metadata.items() if value not in (None, [], "")}
    if missing := [key for key in REQUIRED if key not in kept]:
        raise VlalignError(f"the metadata of the {name} card lack {', '.join(missing)}")
    environment = Environment(  # Markdown: the filter md escapes untrusted text
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"md": escape, "code": code, "quoted": quoted, "number": _number}
    yaml_text = DatasetCardData(**kept).to_yaml(line_break="\n")
    text = environment.from_string(template(name)).render(metadata=yaml_text, **values)
    if DatasetCard(text).data.to_dict() != kept or yaml.safe_load(yaml_text) != kept:
        raise VlalignError(f"the metadata of the {name} card cannot be written as YAML")
    return text


def escape(value: object) -> str:
    """Escape text for Markdown and HTML, on one line and within a cell of a table.

    >>> escape("<b>a|b</b> `x`")
    '&lt;b&gt;a&#124;b&lt;/b&gt; &#96;x&#96;'
    """
    text = visible(" ".join(str(value).split()))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[|`\[\]\\]", lambda match: f"&#{ord(match[0])};", text)


def code(value: object) -> str:
    """Return text as a piece of code within a line.

    >>> code("a `b`")
    "`a 'b'`"
    """
    return f"`{visible(' '.join(str(value).split())).replace('`', chr(39))}`"


def quoted(value: object) -> str:
    r"""Return text as a Python literal, on one line.

    >>> print(quoted('a"b\x1b\u202e'))
    "a\"b\u001b\u202e"
    """
    return visible(json.dumps(str(value), ensure_ascii=False))


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.4f}"


def size_category(n: int) -> str:
    """Return the Hub's size category for a number of rows.

    >>> size_category(999), size_category(1024), size_category(10**12)
    ('n<1K', '1K<n<10K', '1B<n<10B')
    """
    return _SIZES[min(len(_SIZES) - 1, max(0, len(str(max(n, 1))) - 3))]


def versions() -> dict[str, str]:
    """Return the versions of vlalign and of the libraries that determine files and features."""
    from importlib.metadata import version

    from vlalign.version import __version__

    return {"vlalign": __version__} | {name: version(name) for name in ("torch", "transformers", "datasets", "pyarrow")}
