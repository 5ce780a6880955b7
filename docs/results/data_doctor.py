"""Plant known errors in a set of real faces, let the data doctor find them, and print precision and recall.

    python docs/results/data_doctor.py FOLDER MODEL    # FOLDER/data has train355.tar and lfw.tar

The planted set goes to FOLDER/runs/doctor/planted.tar, both visits beside it. The set has errors of its own, so it is
examined as it is first: what is found there is not counted against the planted run. Prints Markdown: what
docs/results/data_doctor.md has.
"""

from __future__ import annotations

import io
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from marginface.cli.progress import progress_bars
from marginface.curation.findings import KINDS, Finding
from marginface.evaluation.doctor import visit
from marginface.images.decode import decode_image
from marginface.models import load_model, resolve_model_folder
from marginface.records.open import open_records
from marginface.records.record import RecordSource
from marginface.records.write_tar import write_tar

SEED = 0
NUMBERS = {
    "wrong name": 200,
    "nobody here": 100,
    "exact copy": 100,
    "near copy": 100,
    "one picture, two names": 50,
    "two people": 15,
    "one person, two names": 15,
    "in both sets": 15,
}
"""How many errors of each kind: images, but names for the last three."""


@dataclass
class Planted:
    """A set with errors, and what they are."""

    members: dict[str, bytes]
    truth: dict[str, set[object]] = field(default_factory=lambda: defaultdict(set))
    """Kind -> keys of images, or couples of names."""


def plant(source: RecordSource, strangers: RecordSource) -> Planted:
    """Return the source with errors of every kind, drawn by `SEED`; no person or image is used for two of them."""
    rng = np.random.default_rng(SEED)
    images = {record.key: bytes(record.image) for record in (source[i] for i in range(len(source)))}
    keys_of: dict[str, list[str]] = defaultdict(list)
    for key, label in zip(source.keys, source.labels.tolist(), strict=True):
        keys_of[source.identities[label]].append(key)
    people = [p for p in rng.permutation(list(source.identities)).tolist() if len(keys_of[p]) >= 10]
    planted = Planted(dict(images))
    taken = iter(people)
    for number in range(NUMBERS["one person, two names"]):
        person = next(taken)
        chosen = rng.permutation(keys_of[person]).tolist()
        _move(planted, chosen[: len(chosen) // 2], f"split_{number:02d}")
        planted.truth["one person, two names"].add(frozenset((person, f"split_{number:02d}")))
    for _ in range(NUMBERS["two people"]):
        host, guest = next(taken), next(taken)
        moved = _move(planted, keys_of[guest][: max(3, len(keys_of[host]) // 3)], host)
        planted.truth["two people"].update(moved)
    whole = list(taken)
    pool = iter(rng.permutation([key for p in whole for key in keys_of[p]]).tolist())

    def other_than(key: str) -> str:
        person = key.split("/")[0]
        return str(rng.choice([p for p in whole if p != person]))

    for _ in range(NUMBERS["wrong name"]):
        key = next(pool)
        planted.truth["wrong name"].update(_move(planted, [key], other_than(key)))
    for _ in range(NUMBERS["exact copy"]):
        key = next(pool)
        planted.truth["exact copy"].add(frozenset((key, _add(planted, key, images[key], key.split("/")[0]))))
    for _ in range(NUMBERS["near copy"]):
        key = next(pool)
        planted.truth["near copy"].add(frozenset((key, _add(planted, key, _again(images[key]), key.split("/")[0]))))
    for _ in range(NUMBERS["one picture, two names"]):
        key = next(pool)
        planted.truth["one picture, two names"].add(_add(planted, key, images[key], other_than(key)))
    lonely = [
        i for i in rng.permutation(len(strangers)).tolist() if np.sum(strangers.labels == strangers.labels[i]) == 1
    ]
    for i in lonely[: NUMBERS["nobody here"]]:
        planted.truth["nobody here"].add(
            _add(planted, f"x/lfw_{i}.jpg", bytes(strangers[i].image), str(rng.choice(whole)))
        )
    counts = np.bincount(strangers.labels)
    for label in rng.permutation(np.flatnonzero(counts >= 8)).tolist()[: NUMBERS["in both sets"]]:
        for i in np.flatnonzero(strangers.labels == label)[:4].tolist():  # other images of them stay in the other set
            planted.truth["in both sets"].add(
                _add(planted, f"x/{i}.jpg", _again(bytes(strangers[i].image)), f"shared_{label:04d}")
            )
    return planted


def _move(planted: Planted, keys: list[str], person: str) -> list[str]:
    moved = []
    for key in keys:
        image = planted.members.pop(key)
        moved.append(_add(planted, key, image, person))
    return moved


def _add(planted: Planted, key: str, image: bytes, person: str) -> str:
    new = f"{person}/planted_{len(planted.members):05d}_{key.split('/')[1]}"
    planted.members[new] = image
    return new


def _again(image: bytes) -> bytes:
    """Return the picture at three quarters of its size, a little brighter, in a coarser JPEG."""
    pixels = decode_image(image, name="planted")
    small = cv2.resize(pixels, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    brighter = cv2.convertScaleAbs(small, alpha=1.05, beta=6)
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(brighter, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 60])[1])


def what(finding: Finding) -> Iterator[object]:
    """Yield what a finding may be known by: its image, the couple of images, or the couple of names."""
    if finding.kind in ("exact copy", "near copy"):
        yield frozenset((finding.key, finding.other_key))
    elif finding.key:
        yield finding.key
    else:
        yield frozenset((finding.person, finding.other_person))


def main() -> None:
    """Plant, visit twice, print the table."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    out = folder / "runs" / "doctor"
    source, other = open_records(f"tar:{folder}/data/train355.tar"), open_records(f"tar:{folder}/data/lfw.tar")
    planted = plant(source, other)
    write_tar(sorted(planted.members.items()), out / "planted.tar")
    model = load_model(resolve_model_folder(sys.argv[2]))
    with progress_bars() as show:
        before = visit(source, model, out / "before", against=other, show=show).diagnosis
        after = visit(open_records(out / "planted.tar"), model, out / "after", against=other, show=show).diagnosis
    known = {(f.kind, thing) for f in before.findings for thing in what(f)}
    text = io.StringIO()
    print("| planted | how many | found | recall | found besides, that were not there before | precision |", file=text)
    print("| --- | --- | --- | --- | --- | --- |", file=text)
    for kind in KINDS:
        truth = planted.truth[kind]
        found = {thing for f in after.findings if f.kind == kind for thing in what(f)}
        any_kind = {thing for f in after.findings for thing in what(f)}
        right, flagged = len(truth & found), len(truth & any_kind)
        besides = len({thing for thing in found - truth if (kind, thing) not in known and not _planted(thing, planted)})
        also = f" ({flagged - right} more as another kind)" if flagged > right else ""
        share = f"{100 * right / (right + besides):.0f} %" if right + besides else "-"
        print(
            f"| {kind} | {len(truth):,} | {right:,}{also} | {100 * flagged / len(truth):.0f} % | {besides} | {share} |",
            file=text,
        )
    print(text.getvalue())
    print(f"Found in the set as it is: {dict(before.counts)}.")


def _planted(thing: object, planted: Planted) -> bool:
    """Return whether a finding is about a planted image all the same, though of another kind."""
    return any(thing in truth for truth in planted.truth.values())


if __name__ == "__main__":
    main()
