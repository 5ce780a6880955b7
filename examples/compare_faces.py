"""Who looks like whom on some photographs, and which faces are good: the whole way in twenty lines.

    python examples/compare_faces.py MODEL PHOTOS      # a model or run folder; a photograph or a folder of them

Prints the faces by their quality (the embedding's norm), best first, with the scores of all pairs.
"""

from __future__ import annotations

import sys

import marginface as mf
from marginface.recognition.face_records import face_quality


def main(model_folder: str, photographs: str) -> None:
    """Detect, align, embed, compare, print."""
    model = mf.open_model(model_folder)
    faces = mf.detect_and_align(photographs)
    for missed in faces.missed:
        print(f"{missed.name}: {missed.reason}")
    quality = face_quality("norm", faces, model)
    scores = (unit := model.embed(faces).unit) @ unit.T
    order = sorted(range(len(faces)), key=lambda i: -quality[i])
    for row, i in enumerate(order):
        others = " ".join(f"{scores[i, j]:6.3f}" for j in order[: row + 1])
        print(f"{faces.keys[i]:30} quality {quality[i]:6.2f}  {others}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
