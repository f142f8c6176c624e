"""Check every shard of a feature store against its checksum.

A damaged shard is named; run the extraction's command again to replace it.

  vlalign verify features
"""

from __future__ import annotations

import sys

from vlalign.cli.output import Json, show_json


def run(store: str = "features", /, *, json: Json = False) -> int:
    """Print the problems; return 1 if there are any.

    Args:
        store: folder of the feature store
    """
    from vlalign.display import visible
    from vlalign.store import FeatureStore

    features = FeatureStore(store)
    problems = features.verify()
    if json:
        damaged = [{"path": str(one.path), "problem": one.reason} for one in problems]
        show_json({"runs": len(features.runs()), "problems": damaged})
        return int(bool(problems))
    for problem in problems:
        print(visible(problem))
    if problems:
        print(f"{len(problems)} problem(s): run the extraction's command again to repair them", file=sys.stderr)
        return 1
    print(f"{len(features.runs())} complete run(s), every shard as it was written")
    return 0


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("verify"))
