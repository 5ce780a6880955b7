"""Heads: class centres + margin -> loss. A head does everything heavy once, for all margins.

`HEADS["dense"]().build(num_classes=C, embedding_dim=D)(embeddings_BD, labels_B).loss.backward()` is the whole use.
"""

from marginface.heads.centre_update import CentreUpdate
from marginface.heads.dense import DenseHeadConfig
from marginface.heads.head import Head, HeadConfig, HeadOutput
from marginface.heads.head_per_source import HeadOfSource, HeadPerSource, heads_of
from marginface.heads.margin_head import MarginHead
from marginface.heads.sampled import SampledHead, SampledHeadConfig
from marginface.heads.settings import HeadSettings, SpheresConfig
from marginface.heads.sharded import ShardedHeadConfig

HEADS: dict[str, type] = {
    "dense": DenseHeadConfig,
    "sharded": ShardedHeadConfig,
    "sampled": SampledHeadConfig,
}

__all__ = [
    "HEADS",
    "CentreUpdate",
    "DenseHeadConfig",
    "Head",
    "HeadConfig",
    "HeadOfSource",
    "HeadOutput",
    "HeadPerSource",
    "HeadSettings",
    "MarginHead",
    "SampledHead",
    "SampledHeadConfig",
    "ShardedHeadConfig",
    "SpheresConfig",
    "heads_of",
]
