"""The trainable unit: images of known people in, the margin head's loss out."""

from __future__ import annotations

from torch import Tensor, nn

from marginface.heads import Head, HeadOutput


class MarginTask(nn.Module):
    """A backbone and a head under one roof, so that optimiser and checkpoint see one tree of names."""

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def loss(self, embeddings: Tensor, labels: Tensor) -> HeadOutput:
        """Return the head's output for (B, D) embeddings of any precision and (B,) labels."""
        output: HeadOutput = self.head(embeddings.float(), labels)
        return output
