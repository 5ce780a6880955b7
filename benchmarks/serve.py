"""The service under load, and `embed` in a batch loop before and after it: same model, crops, threads and flip policy.

    python benchmarks/serve.py [--seconds 60] [--clients 64] [--threads 2] [--kind mobilefacenet]

Clients on the loopback, in this process, each with a connection of its own, ask for the embedding of one aligned JPEG
after the other. The machine's cores are shared by service and clients, so what the clients cost counts against the
service. Weights are random: speed does not depend on them. Exit code 1 if a request failed or memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from marginface.backbones import BACKBONES
from marginface.images.decode import decode_image
from marginface.images.degrade import encode_jpeg
from marginface.images.normalize import InputContract
from marginface.models import FaceModel
from marginface.search.gallery import Gallery

GOAL = 0.8
MOST_GROWTH = 1.1
"""Of the service's memory, from a quarter of the time to the end."""
NUM_CROPS = 256


class NoDetector:
    """The crops are aligned already."""

    def detect(self, image: np.ndarray) -> list[Any]:
        raise AssertionError("nothing is looked for in aligned crops")


@dataclass
class Told:
    """What the clients saw."""

    milliseconds: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)


def new_model(kind: str) -> FaceModel:
    config = BACKBONES[kind](kind=kind)
    torch.manual_seed(0)
    return FaceModel(config.build(input_size=112).eval(), config, InputContract(input_size=112))


def serve_it(folder: str, kind: str, threads: int, batch: int, wait_ms: float, address: Any) -> None:
    """Run the service, in a process of its own."""
    from marginface.serve.run import serve
    from marginface.serve.settings import ServeSettings

    model = new_model(kind)
    settings = ServeSettings(requests_per_second=0, max_batch=batch, max_wait_seconds=wait_ms / 1e3)
    with Gallery.create(Path(folder) / "team.db", model) as gallery:
        serve(gallery, model, NoDetector(), port=0, threads=threads, settings=settings, started=address.put)


def batch_loop(model: FaceModel, crops: list[bytes], batch: int, seconds: float) -> float:
    """Return faces a second: decode a batch, embed it, and so on."""
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        names = [(done + i) % len(crops) for i in range(batch)]
        images = np.stack([decode_image(crops[i], name=str(i)) for i in names])
        model.embed(torch.from_numpy(images), flip="sum").cpu().numpy()
        done += batch
    return done / spent


async def client(number: int, port: int, crops: list[bytes], until: float, told: Told) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    position = number
    while time.perf_counter() < until:
        body = crops[position % len(crops)]
        position += 1
        head = (
            "POST /v1/embed?aligned=true HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        status, lowered = answer[9:12].decode(), answer.lower()
        length = int(lowered.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        content = await reader.readexactly(length)
        told.milliseconds.append(1e3 * (time.perf_counter() - began))
        if status != "200" or b'"vector":[' not in content:
            told.failures[status] = told.failures.get(status, 0) + 1
    writer.close()


def megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} tells no memory")


async def load(port: int, pid: int, crops: list[bytes], clients: int, seconds: float) -> tuple[Told, list[float]]:
    """Return what the clients saw, and the service's memory once a second."""
    told, memory = Told(), [megabytes(pid)]
    until = time.perf_counter() + seconds

    async def watch() -> None:
        while time.perf_counter() < until:
            await asyncio.sleep(1.0)
            memory.append(megabytes(pid))

    await asyncio.gather(watch(), *(client(i, port, crops, until, told) for i in range(clients)))
    return told, memory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kind", default="mobilefacenet", choices=sorted(BACKBONES))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--wait-ms", type=float, default=2.0)
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (NUM_CROPS, 14, 14, 3), dtype=np.uint8)
    crops = [encode_jpeg(cv2.resize(one, (112, 112), interpolation=cv2.INTER_CUBIC)) for one in noise]
    torch.set_num_threads(args.threads)
    model, turn = new_model(args.kind), max(args.seconds / 4, 3.0)
    batch_loop(model, crops, args.batch, 2.0)  # the first batches prepare the quick way
    before = batch_loop(model, crops, args.batch, turn)

    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        address = spawn.Queue()
        options = (folder, args.kind, args.threads, args.batch, args.wait_ms, address)
        service = spawn.Process(target=serve_it, args=options, daemon=True)
        service.start()
        port = int(address.get(timeout=120).rpartition(":")[2])
        assert service.pid
        asyncio.run(load(port, service.pid, crops, args.clients, 3.0))  # warm
        began = time.perf_counter()
        told, memory = asyncio.run(load(port, service.pid, crops, args.clients, args.seconds))
        spent = time.perf_counter() - began
        stopping = time.perf_counter()
        os.kill(service.pid, signal.SIGTERM)
        service.join(30)
        stopped = time.perf_counter() - stopping
    after = batch_loop(model, crops, args.batch, turn)

    loop, served = (before + after) / 2, len(told.milliseconds) / spent
    p50, p99 = np.percentile(told.milliseconds, [50, 99])
    early, late = memory[len(memory) // 4], memory[-1]
    failed = sum(told.failures.values())
    print(f"{args.kind}, {args.threads} threads, {os.cpu_count()} cores, batches of {args.batch}, flip sum")
    print(f"embed in a batch loop  {loop:7.1f} faces/s ({before:.1f} before, {after:.1f} after the service)")
    print(
        f"service, {args.clients} clients   {served:7.1f} faces/s for {spent:.0f} s: "
        f"{served / loop:.0%} of the loop (goal {GOAL:.0%})"
    )
    print(f"latency                p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    print(f"failures               {failed} of {len(told.milliseconds):,} {told.failures or ''}")
    print(
        f"memory of the service  {early:.0f} MB after a quarter, {late:.0f} MB at the end, {max(memory):.0f} MB at most"
    )
    print(f"stop on SIGTERM        {stopped:.1f} s, exit code {service.exitcode}")
    return int(failed > 0 or late > MOST_GROWTH * early or service.exitcode != 0)


if __name__ == "__main__":
    sys.exit(main())
