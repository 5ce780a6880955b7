"""Sharded block by block over two ranks (FSDP2), a backbone gives the embeddings and gradients of one process."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from marginface.backbones import BACKBONES
from marginface.distributed import repeated_blocks
from tests.helpers.gloo import run_on_ranks

KINDS = ["ir18", "edgeface_xxs", "vit_t", "cvlface_vit_s"]


def _backbone_and_images(kind: str) -> tuple[nn.Module, torch.Tensor]:
    backbone = BACKBONES[kind](kind=kind, embedding_dim=8).build(input_size=32).eval()
    return backbone, torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def _pass(backbone: nn.Module, images: torch.Tensor) -> torch.Tensor:
    embeddings = backbone(images)
    (embeddings * torch.linspace(-1, 1, 8)).sum().backward()
    return embeddings.detach()


def _share_of_the_batch(kind: str) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    backbone, images = _backbone_and_images(kind)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    blocks = repeated_blocks(backbone)
    for block in blocks.values():
        fully_shard(block, mesh=mesh)
    fully_shard(backbone, mesh=mesh)
    for module in backbone.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    embeddings = _pass(backbone, images.chunk(dist.get_world_size())[dist.get_rank()])
    gradients = {}
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad:
            assert isinstance(parameter.grad, DTensor), name
            gradients[name] = parameter.grad.full_tensor()
    return embeddings, gradients, len(blocks)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("kind", KINDS)
def test_sharded_by_block_equals_one_process(kind: str) -> None:
    ranks = run_on_ranks(_share_of_the_batch, 2, kind)
    backbone, images = _backbone_and_images(kind)
    expected = _pass(backbone, images)
    torch.testing.assert_close(torch.cat([rank[0] for rank in ranks]), expected, rtol=1e-4, atol=1e-5)
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad:
            size = parameter.grad.abs().max().item()
            torch.testing.assert_close(ranks[0][1][name], parameter.grad, rtol=1e-3, atol=1e-4 * size + 1e-7, msg=name)
    assert ranks[0][2] >= 8  # blocks
