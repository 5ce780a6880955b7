"""What a run will find on this machine, and why it will use it: the rows of `marginface doctor`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from marginface.distributed import default_device
from marginface.images.decode import decode_image
from marginface.training.precision import has_units

# Measured on two cores: passive waits cost a quarter of the speed where the cores are free; where other work shares
# them, they save a third of the processor time at the same speed.
_WHY_THREADS = "torch's choice (OMP_NUM_THREADS); OMP_WAIT_POLICY=PASSIVE spares cores that others share"
# Both or neither: one alone turns off what glibc adapts by itself, and costs more than it saves.
_KEEP_FREED_MEMORY = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
EXTRAS = {"tensorboard": "curves in TensorBoard (log.tensorboard: true)"}


def describe_machine() -> list[tuple[str, str, str]]:
    """Return (what, what will be used, why) for everything that a run depends on."""
    device = default_device()
    bf16 = has_units(torch.bfloat16, device)
    return [
        ("marginface", importlib.metadata.version("marginface"), str(Path(__file__).parents[1])),
        ("python", platform.python_version(), f"{platform.system()} {platform.machine()}"),
        ("torch", torch.__version__, f"CUDA {torch.version.cuda}" if torch.version.cuda else "a build for CPUs"),
        ("device", str(device), _why_device()),
        (
            "threads",
            f"{torch.get_num_threads()}, {os.environ.get('OMP_WAIT_POLICY', 'spinning waits').lower()}",
            _WHY_THREADS,
        ),
        *_freed_memory(str(device)),
        ("precision", "bf16 or fp32" if bf16 else "fp32", _why_precision(bf16, str(device))),
        (
            "JPEG decoder",
            f"simplejpeg {_version('simplejpeg')}",
            f"{_decode_rate():,.0f} images/s a process at 112 x 112",
        ),
        ("other formats", f"OpenCV {_version('opencv-python-headless')}", "PNG, WebP, BMP, TIFF"),
        ("shared memory", _shared_memory(), "workers pass batches through it; below 1 GiB set num_workers: 0"),
        *(
            (
                f"extra: {name}",
                _version(name) if importlib.util.find_spec(name) else "not installed",
                _why_extra(name, use),
            )
            for name, use in EXTRAS.items()
        ),
    ]


def _why_device() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} GPU(s): {torch.cuda.get_device_name(0)}"
    if torch.version.cuda is None and torch.version.hip is None:
        return "no GPU: this torch is a build for CPUs"
    return "no GPU: torch could use one, but finds no driver or device (try nvidia-smi)"


def _freed_memory(device: str) -> list[tuple[str, str, str]]:
    """Return the row about glibc's habit of giving memory back between steps, which costs page faults on a CPU."""
    if device != "cpu" or platform.libc_ver()[0] != "glibc":
        return []
    kept = all(name in os.environ for name in _KEEP_FREED_MEMORY)
    settings = " ".join(f"{name}=4000000000" for name in _KEEP_FREED_MEMORY)
    why = f"with both {settings} training on a CPU takes up to a quarter less processor time"
    return [("freed memory", "kept for the next step" if kept else "given back to the system", why)]


def _why_precision(bf16: bool, device: str) -> str:
    if bf16:
        return f"this {device} has bf16 units"
    return "no bf16 units: bf16 would be about ten times slower, and is refused unless forced"


def _why_extra(name: str, use: str) -> str:
    return use if importlib.util.find_spec(name) else f"{use}; pip install 'marginface[{name}]'"


def _shared_memory() -> str:
    """Return the free space of /dev/shm, which containers often cut to 64 MiB, or "-" where there is none."""
    folder = Path("/dev/shm")
    return f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB" if folder.is_dir() else "-"


def _decode_rate(seconds: float = 0.3) -> float:
    noise = np.random.default_rng(0).integers(0, 255, (14, 14, 3), dtype=np.uint8)
    picture = cv2.resize(noise, (112, 112), interpolation=cv2.INTER_CUBIC)
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        decode_image(encoded, name="doctor.jpg")
        count += 1
    return count / (time.perf_counter() - started)


def _version(package: str) -> str:
    return importlib.metadata.version(package)
