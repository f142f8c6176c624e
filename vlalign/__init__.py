"""How aligned are independently trained vision and language models, and does it matter for your data?

- :func:`vlalign.extract`: pooled features of every layer of a model, into a feature store;
- :func:`vlalign.baselines`: trivial features and random weights, into a feature store;
- :func:`vlalign.import_embeddings`: embeddings made elsewhere, into a feature store;
- :func:`vlalign.read_embeddings`: embeddings in a file;
- :class:`vlalign.FeatureStore`: the runs of a store;
- :func:`vlalign.score`, :func:`vlalign.score_pairs`: alignment over all layer pairs of two runs, or of plain tensors;
- :func:`vlalign.compare`: difference in alignment of two runs with the same reference, or of two records;
- :func:`vlalign.advise`: whether aligning two modalities helps, does nothing or harms on your data;
- :func:`vlalign.information`: what two modalities share about a label, know alone, or only know together;
- :func:`vlalign.probe`, :func:`vlalign.probe_runs`: how well labels can be read from every layer of a model.

Public names are imported when they are first used, so that the command line starts at once.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this file
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from vlalign.advice.run import advise
    from vlalign.baseline.runs import baselines
    from vlalign.data.embeddings import read_embeddings
    from vlalign.data.spec import DataSpec
    from vlalign.decomposition.estimate import information
    from vlalign.errors import VlalignError
    from vlalign.extraction.engine import extract
    from vlalign.probing.probe import probe, probe_runs
    from vlalign.scoring.batch import score_pairs
    from vlalign.scoring.compare import compare
    from vlalign.scoring.pair import score
    from vlalign.scoring.record import ScoreRecord
    from vlalign.scoring.records import ScoreRecords
    from vlalign.store import FeatureStore
    from vlalign.store.importing import import_embeddings
    from vlalign.version import __version__

__all__ = [
    "DataSpec",
    "FeatureStore",
    "ScoreRecord",
    "ScoreRecords",
    "VlalignError",
    "__version__",
    "advise",
    "baselines",
    "compare",
    "extract",
    "import_embeddings",
    "information",
    "probe",
    "probe_runs",
    "read_embeddings",
    "score",
    "score_pairs",
]


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that imports public names when they are first used.

    Args:
        package: name of the package.
        modules: module of each public name, inside the package.
    """

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return __getattr__


__getattr__ = lazy_names(
    __name__,
    {
        "DataSpec": "data.spec",
        "FeatureStore": "store",
        "ScoreRecord": "scoring.record",
        "ScoreRecords": "scoring.records",
        "VlalignError": "errors",
        "__version__": "version",
        "advise": "advice.run",
        "baselines": "baseline.runs",
        "compare": "scoring.compare",
        "extract": "extraction.engine",
        "import_embeddings": "store.importing",
        "information": "decomposition.estimate",
        "probe": "probing.probe",
        "probe_runs": "probing.probe",
        "read_embeddings": "data.embeddings",
        "score": "scoring.pair",
        "score_pairs": "scoring.batch",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
