"""What a head costs beside the matrix products that nobody can avoid: time and memory of one forward + backward.

    python benchmarks/heads.py                                  # all tables, B = 128, C = 10,572 and 85,742
    python benchmarks/heads.py --tables products --batch 512 --classes 85742 --margins cosface magface
    python benchmarks/heads.py --tables huge                    # two million classes: 9 GB, some minutes

    products   a head against the bare products
    update     the same with a step of SGD or AdamW: by torch.optim, or fused into backward
    sampled    a tenth of the classes: rows of a dense parameter by index, against the sampled head
    huge       two million classes, full softmax, fused SGD: seconds and resident memory

Each repetition runs every row once, in turn, in the same process, so that whatever else the machine does hits all
alike; ratios are medians over repetitions of row / first row of that repetition. CPU-second ratios move little when
others use the machine; wall ratios do. Memory is the peak of a process of its own above weights, inputs and the
optimiser's state, gradients included.

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
from marginface.optim import AdamWConfig, SgdConfig

Step = Callable[[], None]
MIB = 2**20
RATE = 0.1


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


def with_torch_sgd(head: Head, embeddings_BD: Tensor, labels_B: Tensor) -> Step:
    """Return a step of the head and of torch's SGD with momentum and decay."""
    optimizer = SgdConfig(lr=1e-3).build([{"params": [head.class_centres]}])
    backward = ours(head, embeddings_BD, labels_B)

    def step() -> None:
        backward()
        optimizer.step()

    return step


def fused_sgd(head: Head, embeddings_BD: Tensor, labels_B: Tensor) -> Step:
    """Return a step of a head that moves its centres itself."""
    head.fuse_update(SgdConfig(lr=1e-3).centre_rule())
    return ours(head, embeddings_BD, labels_B)


def fused_adamw(head: Head, embeddings_BD: Tensor, labels_B: Tensor) -> Step:
    """Return the same with AdamW."""
    head.fuse_update(AdamWConfig(lr=1e-3).centre_rule())
    return ours(head, embeddings_BD, labels_B)


def indexed_parameter(head: Head, embeddings_BD: Tensor, labels_B: Tensor) -> Step:
    """Return a step that draws classes and indexes a dense parameter: a dense gradient, and SGD over all of it."""
    optimizer = SgdConfig(lr=1e-3).build([{"params": [head.class_centres]}])
    rows_B = torch.arange(len(labels_B))

    def step() -> None:
        optimizer.zero_grad()
        embeddings_BD.grad = None
        priority_C = torch.rand(head.num_classes)
        priority_C[labels_B] = 2.0
        chosen = priority_C.topk(int(RATE * head.num_classes)).indices.sort().values
        places_B = torch.searchsorted(chosen, labels_B)
        cos_BC = F.linear(F.normalize(embeddings_BD), F.normalize(head.class_centres[chosen]))
        target_B = head.margin(cos_BC[rows_B, places_B], embeddings_BD.norm(dim=1))
        logits_BC = head.scale * cos_BC.index_put((rows_B, places_B), target_B)
        F.cross_entropy(logits_BC, places_B).backward()
        optimizer.step()

    return step


Row = tuple[Callable[[Head, Tensor, Tensor], Step], dict[str, object]]
STORE: dict[str, object] = {"kind": "dense", "memory": "store"}
RECOMPUTE: dict[str, object] = {"kind": "dense", "memory": "recompute"}
SAMPLED: dict[str, object] = {"kind": "sampled", "rate": RATE, "memory": "recompute"}
TABLES: dict[str, dict[str, Row]] = {
    "products": {
        "bare products": (bare_products, STORE),
        "dense, store": (ours, STORE),
        "dense, recompute": (ours, RECOMPUTE),
        "plain torch": (plain_torch, STORE),
    },
    "update": {
        "bare, no update": (bare_products, STORE),
        "store, torch SGD": (with_torch_sgd, STORE),
        "store, fused SGD": (fused_sgd, STORE),
        "recompute, SGD": (fused_sgd, RECOMPUTE),
        "recompute, AdamW": (fused_adamw, RECOMPUTE),
    },
    "sampled": {
        "sampled head": (fused_sgd, SAMPLED),
        "by index": (indexed_parameter, STORE),
    },
}
STATES = {with_torch_sgd: 1, fused_sgd: 1, fused_adamw: 2, indexed_parameter: 1}
"""Tensors of the centres' size that the optimiser keeps."""


def make_step(table: str, name: str, args: argparse.Namespace, num_classes: int, centres: Tensor | None) -> Step:
    """Return one row's step on random embeddings; heads of one table share `centres` to spare memory."""
    maker, settings = TABLES[table][name]
    config = load(HEADS[str(settings["kind"])], {**settings, "margin": args.margins[0]})
    head = config.build(num_classes=num_classes, embedding_dim=args.dim)
    if centres is not None:
        head.class_centres.data = centres
    generator = torch.Generator().manual_seed(1)
    embeddings_BD = torch.randn(args.batch, args.dim, generator=generator).requires_grad_()
    labels_B = torch.randint(num_classes, (args.batch,), generator=generator)
    return maker(head, embeddings_BD, labels_B)


def time_table(table: str, args: argparse.Namespace, num_classes: int) -> None:
    """Print one table at one number of classes."""
    rows = TABLES[table]
    centres = torch.randn(num_classes, args.dim) * 0.01
    steps = {name: make_step(table, name, args, num_classes, centres) for name in rows}
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
    del steps, centres
    memory = {name: peak_extra_mib(table, args, name, num_classes) for name in rows}

    weights, first = num_classes * args.dim * 4 / MIB, next(iter(rows))
    print(
        f"\n{table}: C = {num_classes:,}  B = {args.batch}  D = {args.dim}  margin {args.margins[0]}  "
        f"centres {weights:.0f} MiB"
    )
    print(f"repetitions {args.repetitions}, other processes used {others}, load average {_load()}")
    print(f"{'':18}{'wall s':>9}{'x first':>8}{'CPU s':>9}{'x first':>8}{'extra MiB':>11}{'x centres':>11}")
    for name in rows:
        wall_ratio = statistics.median(a / b for a, b in zip(wall[name], wall[first], strict=True))
        cpu_ratio = statistics.median(a / b for a, b in zip(cpu[name], cpu[first], strict=True))
        extra = memory[name]
        shown = f"{'-':>11}{'-':>11}" if extra is None else f"{extra:11.0f}{extra / weights:11.2f}"
        print(
            f"{name:18}{statistics.median(wall[name]):9.4f}{wall_ratio:8.2f}"
            f"{statistics.median(cpu[name]):9.4f}{cpu_ratio:8.2f}{shown}",
            flush=True,
        )


def peak_extra_mib(table: str, args: argparse.Namespace, name: str, num_classes: int) -> float | None:
    """Return the peak memory of three steps above weights, inputs and state, of a process of its own (Linux only)."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, __file__, "--memory-of", name, "--tables", table, "--classes", str(num_classes)]
    for option in ("batch", "dim", "threads"):
        command += [f"--{option}", str(getattr(args, option))]
    done = subprocess.run([*command, "--margins", args.margins[0]], check=True, capture_output=True, text=True)
    return float(done.stdout)


def print_peak(table: str, args: argparse.Namespace, name: str, num_classes: int) -> None:
    """Print the number that `peak_extra_mib` reads."""
    make_step(table, name, args, 3000, None)()  # libraries load and spawn their threads
    centres = torch.randn(num_classes, args.dim).mul_(0.01)
    before = _status_mib("VmRSS")
    step = make_step(table, name, args, num_classes, centres)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    for _ in range(3):
        step()
    state = STATES.get(TABLES[table][name][0], 0) * num_classes * args.dim * 4 / MIB
    print(_status_mib("VmHWM") - before - state)


def time_huge(args: argparse.Namespace) -> None:
    """Print what a full softmax over two million classes takes and holds, its update fused."""
    num_classes = 2_000_000
    before = _status_mib("VmRSS")
    step = make_step("update", "recompute, SGD", args, num_classes, None)
    step()
    seconds = []
    for _ in range(min(args.repetitions, 3)):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    print(
        f"\nhuge: C = {num_classes:,}  B = {args.batch}  D = {args.dim}  margin {args.margins[0]}, recompute, fused SGD"
    )
    held, kept = _status_mib("VmHWM") / 1024, num_classes * args.dim * 8 / 2**30
    print(
        f"{statistics.median(seconds):.1f} s a step; the process holds {held:.2f} GiB at its peak, "
        f"{before / 1024:.2f} of it before the head; centres and momentum are {kept:.2f}"
    )


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
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=[*TABLES, "huge"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--classes", type=int, nargs="+", default=[10_572, 85_742])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--margins", nargs="+", default=["arcface"], help="kinds of margins, a table each")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        print_peak(args.tables[0], args, args.memory_of, args.classes[0])
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, {os.cpu_count()} cores")
    print(f"OMP_WAIT_POLICY {os.environ.get('OMP_WAIT_POLICY', 'not set')}")
    for table in args.tables:
        if table == "huge":
            time_huge(args)
            continue
        for num_classes in args.classes:
            for margin in args.margins:
                time_table(table, argparse.Namespace(**{**vars(args), "margins": [margin]}), num_classes)


if __name__ == "__main__":
    main()
