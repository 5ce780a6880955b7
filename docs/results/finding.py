"""Are known people named and strangers not, on photographs as they come? Calibrate, find, count, print Markdown.

    python docs/results/finding.py FOLDER MODEL [MODEL ...]    # FOLDER has photos/lfw40 and lfw.tar, MODELs are folders

Each model is copied and its copy calibrated on people of LFW who are not among the 40. The detector is the one that
`marginface find` takes. Prints what finding.md has.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from marginface.cli.main import main as marginface
from marginface.metrics.replicates import CountedRate, counted_rate, drawn_times
from marginface.models import FaceModel, load_model
from marginface.recognition import AlignedFaces, detect_and_align
from marginface.recognition.aligned import MIN_EYE_DISTANCE
from marginface.recognition.cluster import cluster
from marginface.recognition.find import Finding, find, person_of
from marginface.recognition.operating_point import threshold_at
from marginface.records.open import open_records

FMRS = (1e-3, 1e-4)
SMALLER = ((1.0, MIN_EYE_DISTANCE), (0.5, MIN_EYE_DISTANCE), (0.5, 20.0), (0.25, MIN_EYE_DISTANCE), (0.25, 10.0))
"""(factor of the sides, least pixels between the eyes)."""
ANSWERS = "named, cannot tell, unknown, no face"
NUM_REPLICATES = 1000
NUM_OTHERS = 500
"""People of LFW by whom a model is calibrated, by name, two photographs each."""


def main() -> None:
    """Print the page's tables."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    photographs = folder / "photos" / "lfw40"
    with tempfile.TemporaryDirectory() as scratch:
        models = [calibrated(Path(name), folder, Path(scratch)) for name in sys.argv[2:]]
        print_header("model", "FMR", "threshold", "FPIR: strangers named", "FNIR: known missed", "another's name")
        for model in models:
            print_rates(model, photographs, Path(scratch))
        print_header("photographs", "pixels between the eyes, least", "known: " + ANSWERS, "strangers: " + ANSWERS)
        for factor, least in SMALLER:
            print_smaller(models[0], photographs, Path(scratch), factor, least)
        faces = {which: detect_and_align(photographs, which=which) for which in ("central", "all")}
        print_background(models, faces["central"], faces["all"])
        print_clusters(models, faces["central"])


def print_header(*columns: str) -> None:
    """Print the head of a table, after an empty line."""
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")


def calibrated(source: Path, folder: Path, scratch: Path) -> FaceModel:
    """Return a copy of a model whose card has thresholds, measured on two photographs each of other people of LFW."""
    copy, listed = scratch / source.name, scratch / "others.txt"
    shutil.copytree(source, copy)
    forty = {path.name for path in (folder / "photos" / "lfw40").iterdir()}
    keys: dict[str, list[str]] = {}
    for key in open_records(f"tar:{folder / 'lfw.tar'}").keys:
        keys.setdefault(key.partition("/")[0], []).append(key)
    others = [of for person, of in keys.items() if person not in forty and len(of) > 1][:NUM_OTHERS]
    listed.write_text("".join(f"{key}\n" for of in others for key in of[:2]), encoding="utf-8")
    words = ["calibrate", str(copy), "--data", f"tar:{folder / 'lfw.tar'}?only={listed}", "--name", "others of LFW"]
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        if marginface([*words, "--fmr", ",".join(f"{fmr:g}" for fmr in FMRS)]):
            sys.exit("calibrate failed")
    finally:
        sys.stdout = stdout
    return load_model(copy)


def halves(photographs: Path, scratch: Path) -> Iterable[tuple[Path, Path]]:
    """Yield (known, probes) twice: every second person is known by their first photograph, then the others are."""
    people = sorted(path.name for path in photographs.iterdir())
    for half in (0, 1):
        root = Path(tempfile.mkdtemp(dir=scratch))
        for i, person in enumerate(people):
            files = sorted((photographs / person).iterdir())
            enrolled = files[:1] if i % 2 == half else []
            for kind, chosen in (("known", enrolled), ("probes", files[len(enrolled) :])):
                for path in chosen:
                    target = root / kind / person / path.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.symlink(path, target)
        yield root / "known", root / "probes"


def searched(model: FaceModel, photographs: Path, scratch: Path, least: float) -> list[tuple[str, bool, Finding]]:
    """Return (who it is, whether known, the answer at the first FMR) of each probe photograph, over both halves."""
    told = []
    for known, probes in halves(photographs, scratch):
        found = find(
            known,
            probes,
            model=model,
            fmr=FMRS[0],
            which="central",
            known_face="central",
            quality="detector_confidence",
            min_eye_distance=least,
        )
        enrolled = {path.name for path in known.iterdir()}
        told += [(person_of(f.photograph), person_of(f.photograph) in enrolled, f) for f in found.findings]
    return told


def print_rates(model: FaceModel, photographs: Path, scratch: Path) -> None:
    """Print the rows of one model in the first table."""
    told = searched(model, photographs, scratch, MIN_EYE_DISTANCE)
    for fmr in FMRS:
        threshold = threshold_at(model.card, fmr)
        assert threshold is not None
        named = [f.answer == "known" and f.score is not None and f.score >= threshold.score for *_, f in told]
        strangers = [(who, is_named) for (who, is_known, _), is_named in zip(told, named, strict=True) if not is_known]
        known = [
            (who, not (is_named and f.nearest == who))
            for (who, is_known, f), is_named in zip(told, named, strict=True)
            if is_known
        ]
        wrong = sum(
            is_named and f.nearest != who for (who, is_known, f), is_named in zip(told, named, strict=True) if is_known
        )
        interval = f"{threshold.score:.3f} [{threshold.low:.3f}, {threshold.high:.3f}]"
        cells = (model.name, f"{fmr:g}", interval, words(rate(strangers)), words(rate(known)), str(wrong))
        print(f"| {' | '.join(cells)} |")


def score_of(model: FaceModel) -> float:
    """Return the threshold at the first FMR, as the first table prints it."""
    threshold = threshold_at(model.card, FMRS[0])
    assert threshold is not None
    return round(threshold.score, 3)


def rate(trials: Sequence[tuple[str, bool]]) -> CountedRate:
    """Return the share of errors; its interval is the wider of Wilson's and of drawing the people again."""
    people = sorted({who for who, _ in trials})
    errors, counts = (np.zeros(len(people)) for _ in range(2))
    for who, is_error in trials:
        errors[people.index(who)] += is_error
        counts[people.index(who)] += 1
    times = np.stack([drawn_times(len(people), r, 0) for r in range(NUM_REPLICATES)])
    return counted_rate(int(errors.sum()), len(trials), (times @ errors) / (times @ counts), confidence=0.95)


def words(found: CountedRate) -> str:
    """Return a rate as the page has it."""
    low, high = 100 * found.interval.low, 100 * found.interval.high
    return f"{100 * found.value:.1f} % [{low:.1f}, {high:.1f}] ({found.successes} of {found.trials})"


def print_smaller(model: FaceModel, photographs: Path, scratch: Path, factor: float, least: float) -> None:
    """Print one row of the second table: the same photographs, shrunk."""
    small = Path(tempfile.mkdtemp(dir=scratch))
    for path in photographs.glob("*/*.jpg"):
        (small / path.parent.name).mkdir(exist_ok=True)
        image = cv2.imread(str(path))
        shrunk = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else image
        cv2.imwrite(str(small / path.parent.name / path.name), shrunk, [cv2.IMWRITE_JPEG_QUALITY, 95])
    told = searched(model, small, scratch, least)
    cells = []
    for wanted in (True, False):
        counts = Counter(f.answer for _, is_known, f in told if is_known == wanted)
        cells.append(", ".join(str(counts[a]) for a in ("known", "cannot tell", "unknown", "no face")))
    print(f"| {round(250 * factor)} pixels | {least:g} | {cells[0]} | {cells[1]} |")


def print_background(models: Sequence[FaceModel], central: AlignedFaces, everybody: AlignedFaces) -> None:
    """Print how alike the faces behind the central ones are to each other, by their size."""
    in_front = {(name, *face.box) for name, face in zip(central.photographs, central.faces, strict=True)}
    behind = np.array(
        [(name, *face.box) not in in_front for name, face in zip(everybody.photographs, everybody.faces, strict=True)]
    )
    of = np.array([person_of(name) for name in everybody.photographs])
    print(f"\n{behind.sum()} faces in the background of {central.num_photographs} photographs")
    print_header("pixels between the eyes", "faces", *(f"pairs at FMR 0.001, {model.name}" for model in models))
    units = {model.name: model.embed(everybody).unit for model in models}
    for least in (0, 10, 15, 20, 25):
        kept = np.flatnonzero(behind & (everybody.eye_distances >= least))
        other = np.triu(of[kept][:, None] != of[kept][None, :], 1)
        cells = []
        for model in models:
            reached = (units[model.name][kept] @ units[model.name][kept].T)[other] >= score_of(model)
            cells.append(f"{100 * reached.mean():.1f} % ({reached.sum()} of {len(reached)})")
        print(f"| {least} or more | {len(kept)} | {' | '.join(cells)} |")


def print_clusters(models: Sequence[FaceModel], central: AlignedFaces) -> None:
    """Print how the central faces fall into people, without any name."""
    label = np.unique([person_of(name) for name in central.photographs], return_inverse=True)[1]
    pairs = np.triu_indices(len(label), 1)
    same = (label[:, None] == label)[pairs]
    print_header(
        "model", "groups of 2 or more", "faces alone", "pairs together: one person", "pairs of one person: together"
    )
    for model in models:
        group, _ = cluster(model.embed(central).unit, score_of(model), photographs=central.photographs)
        together = (group[:, None] == group)[pairs]
        sizes = np.bincount(group)
        right = (same & together).sum()
        cells = ((sizes > 1).sum(), (sizes == 1).sum(), f"{right} of {together.sum()}", f"{right} of {same.sum()}")
        print(f"| {model.name} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
