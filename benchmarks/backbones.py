"""Images per second of backbones, training step and inference: eager NCHW beside channels_last, or beside another one.

The two contestants take turns in one process, so that what else the machine does meets both; the ratio printed is the
median of the pairs' ratios, and is worth more than the rates. With `--against KIND` each backbone runs beside that one,
both channels_last.

    python benchmarks/backbones.py [--kinds mobilefacenet iresnet18] [--against mobilefacenet] [--batch 8] [--rounds 3]
        [--threads 2] [--size 112]
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

QUICK = ["iresnet18", "iresnet50", "ir18", "ir50", "mobilefacenet", "mobilefacenet_045g", "mobilefacenet_large"]
QUICK += ["edgeface_xxs", "edgeface_xs", "edgeface_s", "vit_t", "vit_s"]
"""What runs unless told otherwise; the largest would need gigabytes and minutes."""
Contestant = tuple[nn.Module, Tensor]


def train_step(backbone: nn.Module, images: Tensor) -> None:
    """Forward and backward, as costly as in training but for the head and the optimiser."""
    for parameter in backbone.parameters():
        parameter.grad = None
    backbone(images).square().mean().backward()


@torch.no_grad()
def infer(backbone: nn.Module, images: Tensor) -> None:
    """Forward in evaluation mode."""
    backbone(images)


WORK = {"training": train_step, "inference": infer}


def contestant(kind: str, *, training: bool, layout: torch.memory_format, batch: int, size: int) -> Contestant:
    """Return a backbone and images for it, in one memory layout."""
    backbone = BACKBONES[kind](kind=kind).build(input_size=size).train(training).to(memory_format=layout)
    pixels = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    return backbone, pixels.contiguous(memory_format=layout)


def seconds(work: Callable[[nn.Module, Tensor], None], backbone: nn.Module, images: Tensor) -> float:
    """Return the time of one call."""
    start = time.perf_counter()
    work(backbone, images)
    return time.perf_counter() - start


def take_turns(work: Callable[[nn.Module, Tensor], None], first: Contestant, second: Contestant, rounds: int) -> str:
    """Return one line: the best rate of each and the median of the paired ratios, second over first."""
    for each in (first, second):
        work(*each)  # the first call plans and allocates
    times = [(seconds(work, *first), seconds(work, *second)) for _ in range(rounds)]
    rates = [len(images) / min(own) for (_, images), own in zip((first, second), zip(*times, strict=True), strict=True)]
    ratios = [a / b for a, b in times]
    spread = f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
    return f"{rates[0]:14.1f} {rates[1]:16.1f}   {spread}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(BACKBONES), default=QUICK)
    parser.add_argument("--against", choices=list(BACKBONES))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, batch {arguments.batch}, {arguments.size} px, fp32")
    names = (f"{arguments.against}/s", "this one/s") if arguments.against else ("NCHW/s", "channels_last/s")
    print(f"{'backbone':22s}{'parameters':>13s}  {'work':10s}{names[0]:>14s} {names[1]:>16s}   ratio (range)")
    for kind in arguments.kinds:
        with torch.device("meta"):
            parameters = count_parameters(BACKBONES[kind](kind=kind).build(input_size=arguments.size))
        for name, work in WORK.items():
            common = {"training": name == "training", "batch": arguments.batch, "size": arguments.size}
            second = contestant(kind, layout=torch.channels_last, **common)
            if arguments.against:
                first = contestant(arguments.against, layout=torch.channels_last, **common)
            else:
                first = contestant(kind, layout=torch.contiguous_format, **common)
            line = take_turns(work, first, second, arguments.rounds)
            print(f"{kind:22s}{parameters:13,d}  {name:10s}{line}", flush=True)


if __name__ == "__main__":
    main()
