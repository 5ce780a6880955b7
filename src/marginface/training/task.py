"""The trainable unit: images of known people in, the margin head's loss out."""

from __future__ import annotations

from torch import Tensor, nn

from marginface.heads import Head, HeadOfSource, HeadOutput, HeadPerSource, heads_of


class MarginTask(nn.Module):
    """A backbone and what is trained on it under one roof, so that optimiser and checkpoint see one tree of names.

    Attributes:
        backbone: images to embeddings.
        head: embeddings to the loss: one head over all people, or one for each source behind one call.
    """

    def __init__(self, backbone: nn.Module, head: Head | HeadPerSource) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @property
    def heads(self) -> tuple[HeadOfSource, ...]:
        """Each head with its labels; the only one has all."""
        return heads_of(self.head)

    def loss(self, embeddings: Tensor, labels: Tensor) -> HeadOutput:
        """Return the head's output for (B, D) embeddings of any precision and (B,) labels."""
        output: HeadOutput = self.head(embeddings.float(), labels)
        return output
