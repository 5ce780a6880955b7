"""Embedding on a CPU, every way there is, taking turns in one process; ratios are to eager NCHW torch of the same turn.

    python benchmarks/embed.py [--kinds mobilefacenet iresnet50 ir50] [--batch 32] [--rounds 7] [--threads 2]
        [--without compiled int8]

`eager` is the backbone as it is, images NCHW. `folded` is what `FaceModel.embed` runs unless told otherwise, `openvino`
and `onnxruntime` what it runs with an extra. Weights are random: speed does not depend on them. int8 is calibrated on
noise, so its accuracy is not measured here (docs/results/export.md).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from marginface.backbones import BACKBONES
from marginface.models.exporting.int8 import quantised
from marginface.models.exporting.onnx_graph import onnx_graph
from marginface.models.folding import fold_batch_norm
from marginface.models.runtimes import ENGINES, Engine, is_installed

KINDS = ["mobilefacenet", "iresnet50", "ir50"]
"""ir50 stands beside iresnet50 to show that its shortcuts, strided slices, cost nothing."""
Way = Callable[[], object]


def ways_of(kind: str, images: Tensor, without: list[str]) -> dict[str, Way]:
    """Return name -> one pass over the images, for every way that this machine has."""
    backbone = BACKBONES[kind](kind=kind).build(input_size=112).eval()
    rows = images.contiguous(memory_format=torch.channels_last)
    folded = fold_batch_norm(backbone, images[:1])
    ways: dict[str, Way] = {
        "eager": lambda: backbone(images),
        "channels_last": lambda: backbone(rows),
        "folded": lambda: folded(rows),
    }
    if "compiled" not in without:
        compiled = torch.compile(folded)
        try:
            compiled(rows)
            ways["compiled"] = lambda: compiled(rows)
        except Exception as error:  # no C++ compiler, or one that inductor does not get along with
            print(f"{kind}: compiled is left out ({str(error).splitlines()[0][:100]})")
    if not is_installed("onnxscript"):
        print(f"{kind}: onnxruntime and OpenVINO are left out; pip install 'marginface[onnx,openvino]'")
        return ways
    for name, make in ENGINES.items():
        if not is_installed(name):
            continue
        graph = onnx_graph(folded, images[:2], for_onnxruntime=name == "onnxruntime")
        ways[name] = one_pass(make(graph.SerializeToString()), images.numpy())
        if "int8" not in without and is_installed("onnxruntime"):
            graph = quantised(graph, [images[:8].numpy()])
            ways[f"{name} int8"] = one_pass(make(graph.SerializeToString()), images.numpy())
    return ways


def one_pass(engine: Engine, images: np.ndarray) -> Way:
    """Return a call of `engine` with `images`."""
    return lambda: engine(images)


def take_turns(ways: dict[str, Way], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return (wall, processor) seconds of every way, one of each a round; the first round is not counted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for counted in [False] + [True] * rounds:
        for name, way in ways.items():
            wall, processor = time.perf_counter(), time.process_time()
            way()
            if counted:
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(BACKBONES), default=KINDS)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--without", nargs="*", choices=["compiled", "int8"], default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = torch.randn(arguments.batch, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    print(f"torch {torch.__version__}, {arguments.threads} threads, batch {arguments.batch}, {arguments.rounds} rounds")
    print(f"{'backbone':16s}{'way':20s}{'images/s':>9s}   x eager, wall (range)   x eager, processor time")
    for kind in arguments.kinds:
        with torch.no_grad():
            times = take_turns(ways_of(kind, images, arguments.without), arguments.rounds)
        for name, own in times.items():
            wall = [e[0] / o[0] for e, o in zip(times["eager"], own, strict=True)]
            processor = [e[1] / o[1] for e, o in zip(times["eager"], own, strict=True)]
            rate = arguments.batch / statistics.median(w for w, _ in own)
            spread = f"{statistics.median(wall):.2f} ({min(wall):.2f}-{max(wall):.2f})"
            print(f"{kind:16s}{name:20s}{rate:9.1f}   {spread:22s}  {statistics.median(processor):.2f}", flush=True)


if __name__ == "__main__":
    main()
