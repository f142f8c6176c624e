"""The feature store: one folder per run, one tensor per layer and shard, checksums, and a manifest written last.

```
<root>/<model slug>/<first 16 hex of the run key's hash>/
  key.json                            everything that can change the features
  ids.json                            sample ids in row order, and the rows per shard
  shard-00000-of-00008.safetensors    rows [0, 128) of every layer, float32
  shard-00000-of-00008.safetensors.sha256    only until the run is complete
  manifest.json                       written last: the run is complete
  provenance.jsonl                    when, where and with which versions (the only file that varies)
  bits.json                           bits per byte of a language model, once computed from checked shards
```
"""

from vlalign.store.key import BASELINE, RunKey, diff_keys, is_baseline
from vlalign.store.layout import Layer, Layout, Problem, Shard, plan_shards
from vlalign.store.norms import LayerNorms, TokenNorms, norms_sentence
from vlalign.store.run import Run
from vlalign.store.store import FeatureStore
from vlalign.store.writer import RunWriter

__all__ = [
    "BASELINE",
    "FeatureStore",
    "Layer",
    "LayerNorms",
    "Layout",
    "Problem",
    "Run",
    "RunKey",
    "RunWriter",
    "Shard",
    "TokenNorms",
    "diff_keys",
    "is_baseline",
    "norms_sentence",
    "plan_shards",
]
