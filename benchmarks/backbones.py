"""Images per second of every backbone, training step and inference: eager NCHW beside channels_last.

The two layouts take turns in one process, so that what else the machine does meets both; the ratio printed is the
median of the pairs' ratios, and is worth more than the rates.

    python benchmarks/backbones.py [--kinds mobilefacenet iresnet18] [--batch 8] [--rounds 3] [--threads 2] [--size 112]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from marginface.backbones import BACKBONES
from marginface.models import count_parameters

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def train_step(backbone: nn.Module, images: Tensor) -> None:
    """Forward and backward, as costly as in training but for the head and the optimiser."""
    for parameter in backbone.parameters():
        parameter.grad = None
    backbone(images).square().mean().backward()


@torch.no_grad()
def infer(backbone: nn.Module, images: Tensor) -> None:
    """Forward in evaluation mode."""
    backbone(images)


def seconds(work: Callable[[nn.Module, Tensor], None], backbone: nn.Module, images: Tensor) -> float:
    """Return the time of one call."""
    start = time.perf_counter()
    work(backbone, images)
    return time.perf_counter() - start


def compare(kind: str, work: Callable[[nn.Module, Tensor], None], *, batch: int, size: int, rounds: int) -> str:
    """Return one line: the best rate of each layout and the median of the paired ratios."""
    training = work is train_step
    pairs = {}
    for name, layout in LAYOUTS.items():
        backbone = BACKBONES[kind](kind=kind).build(input_size=size).train(training).to(memory_format=layout)
        pixels = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
        pairs[name] = (backbone, pixels.contiguous(memory_format=layout))
        work(*pairs[name])  # the first call plans and allocates
    times = {name: [] for name in LAYOUTS}
    for _ in range(rounds):
        for name, (backbone, images) in pairs.items():
            times[name].append(seconds(work, backbone, images))
    plain, last = ([batch / t for t in times[name]] for name in LAYOUTS)
    ratios = [b / a for a, b in zip(plain, last, strict=True)]
    spread = f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
    return f"{max(plain):10.1f} {max(last):16.1f}   {spread}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(BACKBONES), default=list(BACKBONES))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, batch {arguments.batch}, {arguments.size} px, fp32")
    print(f"{'backbone':22s}{'parameters':>12s}  {'work':10s}{'NCHW/s':>10s} {'channels_last/s':>16s}   ratio (range)")
    for kind in arguments.kinds:
        with torch.device("meta"):
            parameters = count_parameters(BACKBONES[kind](kind=kind).build(input_size=arguments.size))
        for name, work in (("training", train_step), ("inference", infer)):
            line = compare(kind, work, batch=arguments.batch, size=arguments.size, rounds=arguments.rounds)
            print(f"{kind:22s}{parameters:12,d}  {name:10s}{line}", flush=True)


if __name__ == "__main__":
    main()
