"""How many drawn pictures a second one core makes, beside what a JPEG of the same size costs in the same run.

    python benchmarks/drawing.py [--pictures 300] [--size 112]

The baseline (encode and decode one crop with OpenCV) is the unit: a busy or slow machine moves both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np

from marginface.drawn import DrawnPeople
from marginface.drawn.portrait import draw_crop


def cpu_seconds(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """Return median and total CPU seconds of `work(0..count-1)`; the median forgives a neighbour's burst."""
    times = []
    for index in range(count):
        start = time.process_time()
        work(index)
        times.append(time.process_time() - start)
    return float(np.median(times)), float(np.sum(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--size", type=int, default=112)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    people = DrawnPeople(-(-options.pictures // 10), 10, seed=0, size=options.size)
    crop = draw_crop(people.identity(0), people.nuisance(0, 0), size=options.size).image

    def jpeg(_: int) -> object:
        return cv2.imdecode(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_COLOR)

    unit, _ = cpu_seconds(jpeg, 300)
    median, total = cpu_seconds(lambda index: people[index], options.pictures)
    print(f"{options.pictures} pictures of {options.size} px, one core, CPU time")
    print(f"JPEG there and back   {unit * 1e3:7.3f} ms   {1 / unit:8.0f} a second")
    print(f"drawn record, median  {median * 1e3:7.3f} ms   {1 / median:8.0f} a second   {median / unit:6.1f} x JPEG")
    mean = total / options.pictures
    print(f"drawn record, mean    {mean * 1e3:7.3f} ms   {1 / mean:8.0f} a second   {mean / unit:6.1f} x JPEG")


if __name__ == "__main__":
    main()
