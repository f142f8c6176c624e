"""Names of configurations: readable, safe for folders and for `datasets`, and unique to each run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from vlalign.store import RunKey
from vlalign.store.key import flatten

_LONGEST, _PART = 96, 40
#: Settings that distinguish runs of one name, most informative first; any others come after them.
_FIRST = ("quantization", "dtype", "stored", "pooling", "data.name", "data.config", "data.split", "model.modality")


def name_runs(keys: Sequence[RunKey], taken: Mapping[str, RunKey] | None = None) -> list[str]:
    """Name each run: the model's name with its edits, and where that is not unique with other differing settings.

    Args:
        keys: distinct.
        taken: existing names with their runs, which keep them.

    >>> a = RunKey({"model": {"name": "org/a b", "modality": "text"}, "dtype": "float32"})
    >>> b = RunKey({**a.data, "dtype": "bfloat16"})
    >>> c = RunKey({**a.data, "perturbations": [{"operation": "char_delete", "rate": 30}]})
    >>> name_runs([a]), name_runs([a, b, c]), name_runs([b], {"org__a-b": a})
    (['org__a-b'], ['org__a-b--float32', 'org__a-b--bfloat16', 'org__a-b--char_delete-30'], ['org__a-b--bfloat16'])
    """
    taken = dict(taken or {})
    known = {key.hash: name for name, key in taken.items()}
    fresh = [key for key in keys if key.hash not in known]
    used = {name.casefold() for name in taken}
    for key in fresh:
        rivals = [one for one in [*taken.values(), *fresh] if _base(one) == _base(key) and one != key]
        name = _base(key) + _difference(key, rivals)
        if name.casefold() in used or len(name) > _LONGEST:
            name = f"{name[: _LONGEST - 10]}--{key.hash[:8]}"
        used.add(name.casefold())
        known[key.hash] = name
    return [known[key.hash] for key in keys]


def _base(key: RunKey) -> str:
    return "--".join([key.slug, *([_slug(key.edits)] if key.edits else [])])


def _difference(key: RunKey, rivals: Sequence[RunKey]) -> str:
    """Return the fewest values that no rival shares, such as ``--bfloat16``; empty without rivals."""
    if not rivals:
        return ""
    own, others = flatten(key.data), [flatten(rival.data) for rival in rivals]
    paths = [path for path in {*own, *(p for other in others for p in other)} if path != "model.name"]
    different = [path for path in paths if any(_value(own, path) != _value(other, path) for other in others)]
    order = sorted(different, key=lambda path: (_rank(path, own), path))
    for count in (1, 2, 3):
        for chosen in combinations(order[:8], count):
            values = {path: _slug(_value(own, path)) for path in chosen}
            if all(any(_slug(_value(other, path)) != mine for path, mine in values.items()) for other in others):
                return "".join(f"--{_name_part(path, value)}" for path, value in values.items())
    return f"--{key.hash[:8]}"


def _name_part(path: str, value: str) -> str:
    """Format a value as a part of a name, with the name of its setting if it is ambiguous alone."""
    if (path, value) == ("quantization", "none"):
        return "unquantized"
    plain = path in _FIRST and path != "stored" and not re.fullmatch("absent|none", value)
    return value if plain else f"{path.rpartition('.')[2]}-{value}"


def _rank(path: str, own: Mapping[str, Any]) -> tuple[int, int]:
    value = _value(own, path)
    hashed = re.fullmatch("[0-9a-f]{32,}", value) is not None
    return (_FIRST.index(path) if path in _FIRST else len(_FIRST) + hashed), len(value)


def _value(flat: Mapping[str, Any], path: str) -> str:
    return str(flat.get(path, "absent"))


def _slug(text: str) -> str:
    """
    >>> _slug("char_delete:30 patch_delete:20,grid=14"), _slug("minhuh/prh")
    ('char_delete-30-patch_delete-20-grid-14', 'minhuh__prh')
    """
    if re.fullmatch("[0-9a-f]{32,}", text):  # a hash or commit
        return text[:8]
    return re.sub(r"[^A-Za-z0-9._]+", "-", text.replace("/", "__")).strip("-.")[:_PART] or "odd"
