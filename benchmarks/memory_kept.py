"""What it costs on a CPU that glibc gives freed memory back to the system, only to ask for it again in the next step.

    python benchmarks/memory_kept.py [--steps 3]

Each network trains in a process of its own, once as it is and once with glibc told to keep what was freed (`KEEP`).
Fresh memory is mapped page by page, which is system time and is counted in page faults.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Callable

import torch

from marginface.backbones import BACKBONES

KEEP = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}
CASES = (("mobilefacenet", 64, 48), ("mobilefacenet", 32, 112))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--case", type=int, help="only this one, in this process")
    options = parser.parse_args()
    if options.case is not None:
        measure(training_step(*CASES[options.case]), options.steps)
        return
    for number, (kind, batch_size, size) in enumerate(CASES):
        for name, settings in (("as it is", {}), ("memory kept", KEEP)):
            print(f"{kind}, {batch_size} images of {size} x {size}, {name}: ", end="", flush=True)
            command = [sys.executable, __file__, "--steps", str(options.steps), "--case", str(number)]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1", **settings})


def training_step(kind: str, batch_size: int, size: int) -> Callable[[], None]:
    """Return a step of SGD on noise, forward, backward and update."""
    torch.set_num_threads(1)
    backbone = BACKBONES[kind](kind=kind).build(input_size=size).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(backbone.parameters(), lr=1e-3, momentum=0.9)
    images = torch.randn(batch_size, 3, size, size).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimiser.zero_grad()
        backbone(images).square().mean().backward()
        optimiser.step()

    return step


def measure(step: Callable[[], None], num_steps: int) -> None:
    """Print what a step costs, after two to warm up. CPU time, so that a busy machine does not count."""
    for _ in range(2):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(num_steps):
        step()
    after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    faults = (after.ru_minflt - before.ru_minflt) / num_steps
    print(
        f"{(user + system) / num_steps * 1e3:,.0f} ms of CPU a step, {system / num_steps * 1e3:,.0f} of it system,"
        f" {faults:,.0f} page faults, at most {after.ru_maxrss / 2**20:.2f} GiB"
    )


if __name__ == "__main__":
    main()
