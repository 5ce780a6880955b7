"""Memory and communication of a training step, for numbers of classes and ranks that need no machine to reckon with.

`python benchmarks/step_cost.py` prints the tables of docs/memory-and-communication.md, from the function that
`marginface train RECIPE --dry-run --ranks N` uses.
"""

from __future__ import annotations

import torch

from marginface.backbones import BACKBONES
from marginface.heads import DenseHeadConfig, HeadSettings, SampledHeadConfig, ShardedHeadConfig
from marginface.models import BackboneSize, StepEstimate, estimate_step, head_size, measure_backbone

CLASSES = {85_742: "85 k", 360_000: "360 k", 2_000_000: "2 M", 10_000_000: "10 M", 20_000_000: "20 M"}
RANKS = (8, 32, 64, 256)
HEADS: dict[str, HeadSettings] = {
    "dense": DenseHeadConfig(),
    "sharded": ShardedHeadConfig(),
    "sharded, fused_update, memory: recompute": ShardedHeadConfig(fused_update=True, memory="recompute"),
    "sampled, rate 0.1, frozen": SampledHeadConfig(rate=0.1),
    "sampled, rate 0.1, frozen, memory: recompute": SampledHeadConfig(rate=0.1, memory="recompute"),
}
EMBEDDING_DIM, IMAGES = 512, 128


def main() -> None:
    print(tables())


def tables() -> str:
    """Return one table a head in Markdown, and one for the backbone."""
    parts = [_backbone_table()]
    for name, config in HEADS.items():
        lines = [f"### {name}", "", _row(["classes", *(f"{ranks} ranks" for ranks in RANKS)])]
        lines.append(_row(["---"] * (len(RANKS) + 1)))
        for classes, shown in CLASSES.items():
            steps = [_estimate(config, classes, ranks) for ranks in RANKS]
            lines.append(_row([shown, *(f"{_gib(s.head_memory)}, sends {_gib(_sent_by_head(s))}" for s in steps)]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _backbone_table() -> str:
    lines = ["### the backbone", "", _row(["", *(f"{ranks} ranks" for ranks in RANKS)])]
    lines.append(_row(["---"] * (len(RANKS) + 1)))
    for name, settings in {
        "ddp": {},
        "ddp, activation_checkpointing": {"recompute": True},
        "fsdp": {"fsdp": True},
        "fsdp, activation_checkpointing": {"fsdp": True, "recompute": True},
    }.items():
        steps = [_estimate(ShardedHeadConfig(), 85_742, ranks, **settings) for ranks in RANKS]
        cells = (
            f"{_gib(s.total_memory - s.head_memory)}, sends {_gib(s.total_sent - _sent_by_head(s))}" for s in steps
        )
        lines.append(_row([name, *cells]))
    return "\n".join(lines)


def _estimate(
    config: HeadSettings, classes: int, ranks: int, *, fsdp: bool = False, recompute: bool = False
) -> StepEstimate:
    return estimate_step(
        _backbone(recompute),
        head_size(config, num_classes=classes, embedding_dim=EMBEDDING_DIM),
        images_at_a_time=IMAGES,
        num_ranks=ranks,
        fsdp=fsdp,
    )


_SIZES: dict[bool, BackboneSize] = {}


def _backbone(recompute: bool) -> BackboneSize:
    if recompute not in _SIZES:
        with torch.device("meta"):
            backbone = BACKBONES["iresnet100"](kind="iresnet100").build(input_size=112)
        _SIZES[recompute] = measure_backbone(
            backbone, input_size=112, images_at_a_time=IMAGES, half_precision=True, recompute_blocks=recompute
        )
    return _SIZES[recompute]


def _sent_by_head(step: StepEstimate) -> int:
    rows = ("embeddings", "class centres", "each row")
    return sum(c.sent(step.num_ranks) for c in step.collectives if c.name.endswith(rows))


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
