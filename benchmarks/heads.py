"""What a head costs beside the matrix products that nobody can avoid: time and memory of one forward + backward.

    python benchmarks/heads.py                                       # B = 128, C = 10,572 and 85,742
    python benchmarks/heads.py --batch 512 --classes 85742 --margin cosface --threads 2

Each repetition runs every head once, in turn, in the same process, so that whatever else the machine does hits all
alike; ratios are medians over repetitions of head / bare products of that repetition. CPU-second ratios move little
when others use the machine; wall ratios do. Memory is the peak above weights and inputs of a process of its own,
gradients included.

Many short parallel loops suffer on a busy machine: threads that wait for one which has lost its core spin, and spinning
counts as CPU time. OMP_WAIT_POLICY=passive (set before Python starts) avoids that; it is printed with the results.

Letters: B batch, C classes, D embedding.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from marginface.config import load
from marginface.heads import HEADS, Head

Step = Callable[[], None]
MIB = 2**20


def bare_products(head: Head, embeddings_BD: Tensor, labels_B: Tensor) -> Step:
    """Return a step of the three matrix products and a softmax, all preallocated: the bound."""
    centres_CD, input_BD = head.class_centres.detach(), embeddings_BD.detach()
    logits_BC = torch.empty(len(labels_B), head.num_classes)
    grad_centres_CD, grad_input_BD = torch.empty_like(centres_CD), torch.empty_like(input_BD)

    def step() -> None:
        torch.mm(input_BD, centres_CD.T, out=logits_BC)
        torch.softmax(logits_BC, dim=1, out=logits_BC)
        torch.mm(logits_BC, centres_CD, out=grad_input_BD)
        torch.mm(logits_BC.T, input_BD, out=grad_centres_CD)

    return step


def plain_torch(head: Head, embeddings_BD: Tensor, labels_B: Tensor) -> Step:
    """Return a step as most code writes it, its margin already confined to B entries by index."""
    rows_B = torch.arange(len(labels_B))

    def step() -> None:
        head.class_centres.grad = embeddings_BD.grad = None
        cos_BC = F.linear(F.normalize(embeddings_BD), F.normalize(head.class_centres))
        target_B = head.margin(cos_BC[rows_B, labels_B], embeddings_BD.norm(dim=1))
        logits_BC = head.scale * cos_BC.index_put((rows_B, labels_B), target_B)
        F.cross_entropy(logits_BC, labels_B).backward()

    return step


def ours(head: Head, embeddings_BD: Tensor, labels_B: Tensor) -> Step:
    """Return a step of the head under test."""

    def step() -> None:
        head.class_centres.grad = embeddings_BD.grad = None
        head(embeddings_BD, labels_B).loss.backward()

    return step


STEPS = {
    "bare products": (bare_products, "store"),
    "dense, store": (ours, "store"),
    "dense, recompute": (ours, "recompute"),
    "plain torch": (plain_torch, "store"),
}


def make_step(name: str, args: argparse.Namespace, num_classes: int, centres_CD: torch.nn.Parameter | None) -> Step:
    """Return one of `STEPS` on random embeddings; heads of one cell share `centres_CD` to spare memory."""
    maker, memory = STEPS[name]
    config = load(HEADS["dense"], {"kind": "dense", "margin": args.margin, "memory": memory})
    head = config.build(num_classes=2 if centres_CD is not None else num_classes, embedding_dim=args.dim)
    if centres_CD is not None:
        head.class_centres = centres_CD
    generator = torch.Generator().manual_seed(1)
    embeddings_BD = torch.randn(args.batch, args.dim, generator=generator).requires_grad_()
    labels_B = torch.randint(num_classes, (args.batch,), generator=generator)
    return maker(head, embeddings_BD, labels_B)


def time_cell(args: argparse.Namespace, num_classes: int) -> None:
    """Print time of every head at one number of classes."""
    head = load(HEADS["dense"], {"kind": "dense"}).build(num_classes=num_classes, embedding_dim=args.dim)
    steps = {name: make_step(name, args, num_classes, head.class_centres) for name in STEPS}
    for step in steps.values():
        step()
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    busy_before, own_before, start = _busy_seconds(), time.process_time(), time.perf_counter()
    for _ in range(args.repetitions):
        for name, step in steps.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            step()
            wall[name].append(time.perf_counter() - wall_start)
            cpu[name].append(time.process_time() - cpu_start)
    others = "unknown"
    if busy_before is not None:
        spent = (_busy_seconds() or 0.0) - busy_before - (time.process_time() - own_before)
        others = f"{spent / (time.perf_counter() - start):.2f} of {os.cpu_count()} cores"
    memory = {name: peak_extra_mib(args, name, num_classes) for name in steps}

    weights = num_classes * args.dim * 4 / MIB
    print(f"\nC = {num_classes:,}  B = {args.batch}  D = {args.dim}  margin {args.margin}  centres {weights:.0f} MiB")
    print(f"repetitions {args.repetitions}, other processes used {others}, load average {_load()}")
    print(f"{'':18}{'wall s':>9}{'x bare':>8}{'CPU s':>9}{'x bare':>8}{'extra MiB':>11}{'x centres':>11}")
    bare = "bare products"
    for name in steps:
        wall_ratio = statistics.median(a / b for a, b in zip(wall[name], wall[bare], strict=True))
        cpu_ratio = statistics.median(a / b for a, b in zip(cpu[name], cpu[bare], strict=True))
        extra = memory[name]
        shown = f"{'-':>11}{'-':>11}" if extra is None else f"{extra:11.0f}{extra / weights:11.2f}"
        print(
            f"{name:18}{statistics.median(wall[name]):9.4f}{wall_ratio:8.2f}"
            f"{statistics.median(cpu[name]):9.4f}{cpu_ratio:8.2f}{shown}"
        )


def peak_extra_mib(args: argparse.Namespace, name: str, num_classes: int) -> float | None:
    """Return the peak memory of three steps above weights and inputs, measured in a process of its own (Linux only)."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, __file__, "--memory-of", name, "--classes", str(num_classes)]
    for option in ("batch", "dim", "margin", "threads"):
        command += [f"--{option}", str(getattr(args, option))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def print_peak(args: argparse.Namespace, name: str, num_classes: int) -> None:
    """Print the number that `peak_extra_mib` reads."""
    make_step(name, args, 3, None)()  # libraries load and spawn their threads
    centres_CD = torch.nn.Parameter(torch.randn(num_classes, args.dim) * 0.01)
    before = _status_mib("VmRSS")
    step = make_step(name, args, num_classes, centres_CD)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    for _ in range(3):
        step()
    print(_status_mib("VmHWM") - before)


def _status_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def _busy_seconds() -> float | None:
    """Return CPU seconds used on this machine so far by everybody, or None where the system does not tell."""
    try:
        user, nice, system, _idle, _wait, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    except OSError:
        return None
    return sum(int(x) for x in (user, nice, system, irq, softirq)) / os.sysconf("SC_CLK_TCK")


def _load() -> str:
    return " ".join(f"{x:.1f}" for x in os.getloadavg())


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--classes", type=int, nargs="+", default=[10_572, 85_742])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--margin", default="arcface", help="kind of the margin")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--memory-of", choices=list(STEPS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        print_peak(args, args.memory_of, args.classes[0])
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, {os.cpu_count()} cores")
    print(f"OMP_WAIT_POLICY {os.environ.get('OMP_WAIT_POLICY', 'not set')}")
    for num_classes in args.classes:
        time_cell(args, num_classes)


if __name__ == "__main__":
    main()
