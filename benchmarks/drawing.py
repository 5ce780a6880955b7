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


def cpu_seconds(work: Callable[[int], object], count: int, *, repeats: int = 4) -> float:
    """Return mean CPU seconds of `work(0..count-1)`, each the best of `repeats`: a busy neighbour only ever adds."""
    times = np.full(count, np.inf)
    for index in range(count):
        for _ in range(repeats):
            start = time.process_time()
            work(index)
            times[index] = min(times[index], time.process_time() - start)
    return float(times.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--size", type=int, default=112)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    people = DrawnPeople(-(-options.pictures // 10), 10, seed=0, size=options.size)
    crop = draw_crop(people.identity(0), people.nuisance(0, 0), size=options.size).image

    def jpeg(_: int) -> object:
        return cv2.imdecode(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_COLOR)

    unit = cpu_seconds(jpeg, options.pictures)
    drawn = cpu_seconds(lambda index: people[index], options.pictures)
    print(f"{options.pictures} pictures of {options.size} px, CPU time of one core, best of 4")
    print(f"JPEG there and back  {unit * 1e3:7.3f} ms  {1 / unit:7.0f} a second")
    print(f"drawn record         {drawn * 1e3:7.3f} ms  {1 / drawn:7.0f} a second  {drawn / unit:5.1f} x JPEG")


if __name__ == "__main__":
    main()
