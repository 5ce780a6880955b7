"""A margin head in a training loop of your own: `loss = head(embeddings, labels).loss`, and nothing else to adopt.

    python examples/own_training_loop.py

It draws a few people who do not exist, trains a small network of plain PyTorch with an ArcFace head on them, and ends
with the mean cosine between each image and its person's class centre, which training has to raise.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from marginface.drawn import DrawnPeople, write_tar
from marginface.heads import HEADS
from marginface.images.augment import AugmentConfig
from marginface.images.normalize import InputContract, normalize
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import training_batches
from marginface.loading.sampler import ShuffledBatches
from marginface.margins import MARGINS
from marginface.records.open import open_records

SIZE, EMBEDDING_DIM, NUM_STEPS = 32, 64, 40


def train(source: str) -> list[float]:
    """Return the mean target cosine of every step on the records that `source` names."""
    torch.manual_seed(0)
    records = open_records(source)
    dataset = FaceDataset(records, size=SIZE, augment=AugmentConfig(horizontal_flip=0.5))
    batches = ShuffledBatches(len(records), global_batch_size=32, seed=0)

    layers: list[nn.Module] = []
    for dim_in, dim_out in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(dim_in, dim_out, 3, stride=2, padding=1), nn.BatchNorm2d(dim_out), nn.PReLU()]
    backbone = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (SIZE // 8) ** 2, EMBEDDING_DIM))
    # The head owns the class centres and everything from normalising to softmax; the margin is its penalty.
    head_config = HEADS["dense"](scale=16, margin=MARGINS["arcface"](margin=0.2))
    head = head_config.build(num_classes=len(records.identities), embedding_dim=EMBEDDING_DIM, seed=0)
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.05, momentum=0.9)

    cosines = []
    for batch in training_batches(dataset, batches, first_step=0, num_steps=NUM_STEPS, num_workers=0):
        embeddings = backbone(normalize(batch.images, InputContract(input_size=SIZE)))  # the head normalises them
        output = head(embeddings, batch.labels)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        cosines.append(float(output.target_cos_B.mean()))
        if len(cosines) % 10 == 0:
            print(f"step {len(cosines)}  loss {output.loss:6.3f}  mean target cosine {cosines[-1]:.3f}")
    return cosines


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        tar = write_tar(DrawnPeople(8, 12, seed=0, difficulty=0.5, size=64), Path(folder) / "people.tar")
        train(f"tar:{tar}")
