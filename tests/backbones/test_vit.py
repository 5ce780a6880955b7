"""What is particular to the transformers: masking, skipped branches, the token that stands for masked places."""

import pytest
import torch
import torch.utils.checkpoint

from marginface.backbones import VitConfig
from marginface.backbones.vit import put_back, skip_some, take_some


def images(batch: int = 4, size: int = 36) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


def tokens_seen_by_blocks(backbone, batch: int = 2) -> int:
    seen = []
    hook = backbone.blocks[0].register_forward_hook(lambda module, inputs, output: seen.append(output.shape[1]))
    backbone(images(batch))
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("ratio, kept", [(0.0, 16), (0.05, 15), (0.25, 12), (0.5, 8)])
def test_masking_uses_the_ratio_that_is_configured(ratio, kept):
    backbone = VitConfig(kind="vit_t", embedding_dim=8, mask_ratio=ratio).build(input_size=36)
    assert tokens_seen_by_blocks(backbone) == kept
    assert tokens_seen_by_blocks(backbone.eval()) == 16


def test_tokens_come_back_to_their_places_and_the_mask_token_fills_the_rest():
    tokens = torch.arange(1.0, 1 + 3 * 10 * 2).view(3, 10, 2)
    torch.manual_seed(0)
    some, order = take_some(tokens, 0.3)
    assert some.shape == (3, 7, 2)
    filled = put_back(some, order, torch.full((1, 1, 2), -1.0))
    for image in range(3):
        kept = {tuple(t) for t in some[image].tolist()}
        for place in range(10):
            own = tuple(tokens[image, place].tolist())
            assert tuple(filled[image, place].tolist()) == (own if own in kept else (-1.0, -1.0))
    assert len({tuple(o.argsort()[7:].tolist()) for o in order}) > 1  # each image its own


def test_every_place_is_masked_equally_often():
    torch.manual_seed(0)
    tokens = torch.ones(4000, 10, 1)
    some, order = take_some(tokens, 0.3)
    share = put_back(some, order, torch.zeros(1, 1, 1)).mean(dim=0).flatten()
    assert share.tolist() == pytest.approx([0.7] * 10, abs=0.03)  # deviation sqrt(0.21 / 4000) = 0.007


def test_mask_token_learns_only_where_something_is_masked():
    masked = VitConfig(kind="vit_t", embedding_dim=8, mask_ratio=0.25).build(input_size=36)
    (masked(images()) * torch.linspace(-1, 1, 8)).sum().backward()
    assert masked.mask_token.grad.any()
    whole = VitConfig(kind="vit_t", embedding_dim=8).build(input_size=36)
    assert not whole.mask_token.requires_grad
    whole.load_state_dict(masked.state_dict())  # and both have it


def test_weights_of_both_kinds_of_training_fit_cvlface():
    with torch.device("meta"):
        keys = [
            set(VitConfig(kind="cvlface_vit_s", mask_ratio=ratio).build(input_size=112).state_dict())
            for ratio in (0, 0.1)
        ]
    assert keys[1] - keys[0] == {"mask_token"}


def test_masking_without_a_mask_token_is_refused():
    with pytest.raises(ValueError, match=r"mask_ratio is 0.1, but mindface_vit_s has no mask token; set it to 0"):
        VitConfig(kind="mindface_vit_s", mask_ratio=0.1)


@pytest.mark.parametrize("name", ["drop_path", "mask_ratio"])
@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_shares_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"{name} is {value}; it is a share"):
        VitConfig(**{name: value})


def test_skipping_grows_evenly_from_nothing_at_the_first_block():
    with torch.device("meta"):
        rates = [block.drop_path for block in VitConfig(kind="vit_t", drop_path=0.11).build().blocks]
    assert rates == pytest.approx([0.01 * i for i in range(12)])


def test_skipped_images_are_zero_and_the_mean_stays():
    torch.manual_seed(0)
    out = skip_some(torch.ones(10_000, 1, 2), 0.2)
    assert set(out.unique().tolist()) == {0.0, 1.25}
    assert torch.equal(out[..., 0], out[..., 1])  # a whole image at a time
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)  # deviation sqrt(0.25 / 10000) = 0.005


def test_training_draws_from_torchs_generator():
    backbone = VitConfig(kind="vit_t", embedding_dim=8, drop_path=0.5, mask_ratio=0.25).build(input_size=36)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(backbone(images()))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])


def test_blocks_computed_again_in_backward_draw_the_same():
    backbone = VitConfig(kind="vit_t", embedding_dim=8, drop_path=0.5, mask_ratio=0.25).build(input_size=36)
    gradients = []
    for again in (False, True):
        if again:
            for block in backbone.blocks:
                forward = block.forward
                block.forward = lambda x, forward=forward: torch.utils.checkpoint.checkpoint(
                    forward, x, use_reentrant=False
                )
        torch.manual_seed(1)
        backbone.zero_grad()
        (backbone(images()) * torch.linspace(-1, 1, 8)).sum().backward()
        gradients.append([p.grad.clone() for p in backbone.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_attention_follows_autocast_and_the_embedding_layers_do_not():
    backbone = VitConfig(kind="vit_t", embedding_dim=8).build(input_size=36).eval()
    seen = {}
    for name in ("blocks.0.attn.proj", "feature.0"):
        backbone.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({name: inputs[0].dtype})
        )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        backbone(images())
    assert seen == {"blocks.0.attn.proj": torch.bfloat16, "feature.0": torch.float32}
