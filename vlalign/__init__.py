"""How aligned are independently trained vision and language models, and does it matter for your data?

- :func:`vlalign.extract`: pooled features of every layer of a model, into a feature store;
- :class:`vlalign.FeatureStore`: what is in a store;
- :func:`vlalign.score`: alignment over all layer pairs of two runs, or of plain tensors.

The functions bear the names of the rooms they live in and are imported here once, so that ``vlalign.score`` is always
the function. Importing the package is quick: PyTorch and the model libraries are imported when they are needed.
"""

from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.extract import extract
from vlalign.score import ScoreRecord, score
from vlalign.store import FeatureStore
from vlalign.version import __version__

__all__ = ["DataSpec", "FeatureStore", "ScoreRecord", "VlalignError", "__version__", "extract", "score"]
