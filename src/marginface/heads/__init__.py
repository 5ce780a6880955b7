"""Heads: class centres + margin -> loss. A head does everything heavy once, for all margins.

`HEADS["dense"]().build(num_classes=C, embedding_dim=D)(embeddings_BD, labels_B).loss.backward()` is the whole use.
"""

from marginface.heads.dense import DenseHead, DenseHeadConfig
from marginface.heads.head import Head, HeadConfig, HeadOutput

HEADS: dict[str, type] = {
    "dense": DenseHeadConfig,
}

__all__ = ["HEADS", "DenseHead", "DenseHeadConfig", "Head", "HeadConfig", "HeadOutput"]
