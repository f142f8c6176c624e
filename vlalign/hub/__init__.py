"""Sharing on the Hugging Face Hub: features as Parquet data sets, score records, and their cards.

A data set of features holds

```
README.md                    the card: configurations for `datasets`, licences, how to load, versions and commands; and
                             below its mark the owner's text
data/<config>/part-….parquet one row a sample: id, layer_00 …, extra_… (bits, bytes, tokens of text models)
vlalign/<config>.json        run key, facts, layer axis, checksums, command: the input of `vlalign pull`
```
"""

from vlalign.hub.download import pull, runs_on_hub
from vlalign.hub.metadata import About
from vlalign.hub.record_sources import is_repo, read_results, split_source
from vlalign.hub.space import open_space, push_space
from vlalign.hub.upload import push
from vlalign.hub.upload_results import push_results

__all__ = [
    "About",
    "is_repo",
    "open_space",
    "pull",
    "push",
    "push_results",
    "push_space",
    "read_results",
    "runs_on_hub",
    "split_source",
]
