"""The average follows its formula, leaves training alone and survives a checkpoint."""

import pytest
import torch
from torch import nn

from marginface.errors import InputError
from marginface.optim import EmaConfig


class Network(nn.Module):
    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), value))
        self.register_buffer("running", torch.full((1,), value))
        self.register_buffer("count", torch.tensor(0))


def moved(network: Network, value: float, count: int) -> Network:
    with torch.no_grad():
        network.weight.fill_(value)
        network.running.fill_(value)
        network.count.fill_(count)
    return network


def test_average_of_parameters_and_buffers_written_out():
    network = Network(1.0)
    ema = EmaConfig(decay=0.75, warm_up=False).build(network)
    ema.update(moved(network, 2.0, 5), 0)
    ema.update(moved(network, 3.0, 6), 1)
    averaged = ema.averaged(network)
    # 1 -> 0.75 * 1 + 0.25 * 2 = 1.25 -> 0.75 * 1.25 + 0.25 * 3 = 1.6875
    assert averaged.weight.tolist() == [1.6875, 1.6875]
    assert averaged.running.item() == 1.6875
    assert averaged.count.item() == 6  # whole numbers are copied


def test_warm_up_forgets_the_random_start_first():
    config = EmaConfig(decay=0.99)
    assert [config.decay_at(i) for i in (0, 1, 10)] == [0.1, 2 / 11, 11 / 20]
    assert config.decay_at(10_000) == 0.99
    assert EmaConfig(decay=0.99, warm_up=False).decay_at(0) == 0.99


def test_the_trained_network_is_left_alone():
    network = Network(1.0)
    ema = EmaConfig(decay=0.5).build(network)
    ema.update(moved(network, 2.0, 1), 0)
    averaged = ema.averaged(network)
    with torch.no_grad():
        averaged.weight.fill_(-1.0)
    assert network.weight.tolist() == [2.0, 2.0]
    assert ema.averaged(network).weight[0].item() == pytest.approx(1.9)


def test_resumed_average_equals_one_without_a_break():
    network = Network(1.0)
    unbroken, resumed = (EmaConfig(decay=0.9).build(Network(1.0)) for _ in range(2))
    for step, value in enumerate([2.0, 4.0, 3.0]):
        unbroken.update(moved(network, value, step), step)
        if step == 1:
            saved = {name: tensor.clone() for name, tensor in unbroken.state_dict().items()}
    resumed.load_state_dict(saved)
    resumed.update(network, 2)
    assert torch.equal(resumed.averaged(network).weight, unbroken.averaged(network).weight)


def test_half_precision_weights_are_averaged_in_fp32():
    network = Network(1.0).to(torch.bfloat16)
    ema = EmaConfig(decay=0.9999, warm_up=False).build(network)
    for step in range(1000):
        ema.update(moved(network, 2.0, 0), step)
    assert ema.state_dict()["weight"][0].item() == pytest.approx(2 - 0.9999**1000, abs=1e-3)
    assert ema.averaged(network).weight.dtype == torch.bfloat16


def test_an_average_of_another_network_is_refused():
    ema = EmaConfig().build(Network())
    state = ema.state_dict()
    for wrong in ({**state, "weight": torch.zeros(3)}, {k: v for k, v in state.items() if k != "weight"}):
        with pytest.raises(InputError, match=r"another network \(weight differs\)"):
            ema.load_state_dict(wrong)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_outside_zero_to_one_is_refused(decay):
    with pytest.raises(ValueError, match="decay is"):
        EmaConfig(decay=decay)
