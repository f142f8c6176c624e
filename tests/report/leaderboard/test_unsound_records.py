"""Records in which anything may be wrong: none stops the leaderboard, and none is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.board import made_up, run_of, write_results

from vlalign.cli import main
from vlalign.errors import VlalignError
from vlalign.store import RunKey

ODD: tuple[Any, ...] = (None, -1, 1.5, 10**400, "x", [], {}, True)
GONE = object()  # the part is left out


def parts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all scalars and objects below a value; of a list the first and the last only."""
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from parts(value[name], (*path, name))
    elif isinstance(value, list) and value:
        for at in sorted({0, len(value) - 1}):
            yield from parts(value[at], (*path, at))


def mutants() -> list[dict[str, Any]]:
    """A good record with odd values in the place of every part, every second one there; each of a pair of its own."""
    good = json.dumps(dataclasses.asdict(made_up()))
    found = []
    for at, path in enumerate(parts(json.loads(good))):
        for odd in (*ODD[at % 2 :: 2], GONE):
            data = json.loads(good)
            data["y"] |= {"model": f"text-{len(found)}", "run": run_of(f"text-{len(found)}", "text")}
            place: Any = data
            for name in path[:-1]:
                place = place[name]
            if odd is GONE:
                del place[path[-1]]
            else:
                place[path[-1]] = odd
            if path[1:3] == ("run", "key"):  # as if it had been made with that key
                with contextlib.suppress(VlalignError, TypeError, KeyError):
                    data[path[0]]["run"]["hash"] = RunKey(data[path[0]]["run"]["key"]).hash
            found.append(data)
    return found


def test_no_record_stops_the_others_or_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = write_results(tmp_path / "results", [made_up(y="good", value=0.9)])
    names = {"0000.json"}
    for i, data in enumerate(mutants()):
        names.add(f"mutant-{i}.json")
        (results / f"mutant-{i}.json").write_text(json.dumps(data))
    assert len(names) > 1200
    assert main(["leaderboard", str(results), "--out", str(tmp_path / "site"), "--quiet"]) == 0
    told = json.loads((tmp_path / "site" / "leaderboard.json").read_text(encoding="utf-8"))
    shown = {row["record"] for group in told["groups"] for row in group["rows"]}
    listed = {one["record"]: one["reason"] for one in told["invalid"]}
    assert shown | set(listed) == names
    assert not shown & set(listed)
    assert 300 < len(listed) < 1200
    late = {name: why for name, why in listed.items() if why.startswith("not a whole")}
    assert not late  # validate_record refuses all of them, so that what cannot be shown is not pushed either
    assert "Traceback" not in capsys.readouterr().err
