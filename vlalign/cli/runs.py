"""List the runs of a feature store: model, layers, samples, data, precision, bits per byte.

vlalign runs features
vlalign runs features --layers
vlalign runs features --json
"""

from __future__ import annotations

from vlalign.cli.output import Json, show_json
from vlalign.display import visible


def run(store: str = "features", /, *, layers: bool = False, json: Json = False) -> None:
    """Print the table.

    Args:
        store: folder of the feature store
        layers: show the layers of each run, and how much of the mean over tokens a single one gives
    """
    from vlalign.report.console import console
    from vlalign.report.extraction import layers_tables, runs_document, runs_table
    from vlalign.store import FeatureStore

    runs, incomplete = FeatureStore(store).runs_and_incomplete()
    if json:
        show_json(runs_document(runs, incomplete, layers=layers))
    elif not runs and not incomplete:
        console().print(f"{visible(store)} holds no runs", soft_wrap=True, markup=False)
    elif layers:
        console().print(layers_tables(runs))
    else:
        console().print(runs_table(runs, incomplete))


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("runs"))
