"""Protocol sets in their published file layouts, made from any faces: `folder` holds <person>/<image>."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from marginface.images.align import ARCFACE_TEMPLATE_112


def people_of(folder: Path) -> dict[str, list[Path]]:
    """Return each person's images, sorted."""
    return {one.name: sorted(one.iterdir()) for one in sorted(folder.iterdir()) if one.is_dir()}


def ijbc(folder: Path, out: Path, *, images_per_template: int = 2, seed: int = 0) -> Path:
    """Write `loose_crop/` and `meta/` as IJB-C has them; each crop is moved on a larger canvas with its landmarks.

    The first half of each person's images are her gallery template, the rest probes of `images_per_template`; people
    are dealt to G1 and G2 in turn.
    """
    import cv2

    rng = np.random.default_rng(seed)
    crops, meta = out / "images" / "loose_crop", out / "meta"
    crops.mkdir(parents=True)
    meta.mkdir()
    points, faces, galleries, probes = [], [], {"G1": [], "G2": []}, []
    template, number = 100, 0
    enrolled = []
    for subject, files in enumerate(people_of(folder).values(), 1):
        half = max(1, len(files) // 2)
        groups = [files[:half]]
        groups += [files[i : i + images_per_template] for i in range(half, len(files), images_per_template)]
        for place, group in enumerate(groups):
            template += 7
            (galleries["G1" if subject % 2 else "G2"] if place == 0 else probes).append((template, subject))
            if place == 0:
                enrolled.append((template, subject))
            for image, file in enumerate(group):
                number += 1
                name = f"{number}.jpg"
                face = cv2.imread(str(file))
                dx, dy = (int(v) for v in rng.integers(5, 30, 2))
                canvas = np.zeros((160, 160, 3), np.uint8)
                canvas[dy : dy + face.shape[0], dx : dx + face.shape[1]] = face
                cv2.imwrite(str(crops / name), canvas, [cv2.IMWRITE_JPEG_QUALITY, 95])
                scale = face.shape[0] / 112
                places = (ARCFACE_TEMPLATE_112 * scale + (dx, dy)).ravel()
                points.append(f"{name} {' '.join(f'{v:.3f}' for v in places)} {rng.uniform(0.8, 1):.4f}")
                faces.append(f"{name} {template} {template * 10 + image // 2}")
    (meta / "ijbc_name_5pts_score.txt").write_text("\n".join(points) + "\n")
    (meta / "ijbc_face_tid_mid.txt").write_text("\n".join(faces) + "\n")
    pairs = [f"{one} {other} {int(s == t)}" for one, s in enrolled for other, t in probes]
    (meta / "ijbc_template_pair_label.txt").write_text("\n".join(pairs) + "\n")
    header = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n"
    for name, rows in (*((f"gallery_{g}", galleries[g]) for g in galleries), ("probe_mixed", probes)):
        lines = "".join(f"{t},{s},img/{t}.jpg\n" for t, s in rows for _ in range(2))  # a row an image, as published
        (meta / f"ijbc_1N_{name}.csv").write_text(header + lines)
    return out


def tinyface(folder: Path, out: Path, *, num_distractor_people: int = 3) -> Path:
    """Write `Probe`, `Gallery_Match` and `Gallery_Distractor`; the last people are the distractors."""
    people = list(people_of(folder).values())
    for name in ("Probe", "Gallery_Match", "Gallery_Distractor"):
        (out / name).mkdir(parents=True)
    for number, files in enumerate(people, 1):
        for i, file in enumerate(files, 1):
            if number > len(people) - num_distractor_people:
                shutil.copy(file, out / "Gallery_Distractor" / f"{number}{i:03d}{file.suffix}")
            else:
                role = "Probe" if i % 2 else "Gallery_Match"
                shutil.copy(file, out / role / f"{number}_{i}{file.suffix}")
    return out


def scface(folder: Path, out: Path) -> Path:
    """Write mugshots and five cameras at three distances, the images of a person again and again."""
    for number, files in enumerate(people_of(folder).values(), 1):
        (out / "mugshot_frontal").mkdir(parents=True, exist_ok=True)
        shutil.copy(files[0], out / "mugshot_frontal" / f"{number:03d}_frontal{files[0].suffix}")
        for distance in (1, 2, 3):
            for camera in (1, 2, 6):
                file = files[1 + (camera + distance) % (len(files) - 1)]
                place = out / f"distance_{distance}"
                place.mkdir(exist_ok=True)
                shutil.copy(file, place / f"{number:03d}_cam{camera}_{distance}{file.suffix}")
    return out


def rfw(folder: Path, out: Path, groups: tuple[str, ...] = ("African", "Asian"), *, per_fold: int = 3) -> Path:
    """Write `data/<group>/<person>/<person>_0001.jpg` and `txts/<group>/<group>_pairs.txt`, ten folds each."""
    people = people_of(folder)
    dealt = {group: list(people.items())[k :: len(groups)] for k, group in enumerate(groups)}
    rng = np.random.default_rng(0)
    for group, members in dealt.items():
        for name, files in members:
            (out / "data" / group / name).mkdir(parents=True)
            for i, file in enumerate(files, 1):
                shutil.copy(file, out / "data" / group / name / f"{name}_{i:04d}{file.suffix}")
        lines = [f"10\t{per_fold}"]
        for _ in range(10):
            for _ in range(per_fold):
                name, files = members[rng.integers(len(members))]
                i, j = rng.choice(len(files), 2, replace=False) + 1
                lines.append(f"{name}\t{i}\t{j}")
            for _ in range(per_fold):
                a, b = rng.choice(len(members), 2, replace=False)
                lines.append(f"{members[a][0]}\t1\t{members[b][0]}\t2")
        (out / "txts" / group).mkdir(parents=True)
        (out / "txts" / group / f"{group}_pairs.txt").write_text("\n".join(lines) + "\n")
    return out


def ijbs(folder: Path, out: Path) -> Path:
    """Write `images/<subject>/` and `meta/` as IJB-S has them: stills, booking photographs, and videos of two people.

    The first image of a person is the still, the first two are booking photographs, the third a frame of the gallery's
    video, and the rest two frames each of the videos in which she walks with the next person.
    """
    people = list(people_of(folder).values())
    (out / "meta" / "galleries").mkdir(parents=True)
    metadata, probes = ["SUBJECT_ID,FILENAME,FRAME_NUM"], {"single-booking": [], "surveillance": []}
    kinds, header = ("single", "booking", "surveillance"), "TEMPLATE_ID,SUBJECT_ID,FILENAME"
    galleries = {(kind, g): [header] for kind in kinds for g in (1, 2)}

    def crop(subject: int, name: str, file: Path) -> None:
        (out / "images" / str(subject)).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, out / "images" / str(subject) / f"{name}{file.suffix}")

    for subject, files in enumerate(people, 1):
        g = 2 - subject % 2
        for place, file in enumerate(files[:2]):
            crop(subject, f"img_{10 * subject + place}", file)
            metadata.append(f"{subject},img/{10 * subject + place}.png,")
            row = f"{subject},{subject},img/{10 * subject + place}.png"
            galleries["booking", g].append(row)
            if place == 0:
                galleries["single", g].append(row)
        crop(subject, f"videos_{100 + subject}_7", files[2])
        metadata.append(f"{subject},videos/{100 + subject}.mp4,7")
        galleries["surveillance", g].append(f"{subject},{subject},videos/{100 + subject}.mp4")
    for number in range(len(people)):
        video = f"videos/{200 + number}.mp4"
        for subject in (number + 1, (number + 1) % len(people) + 1):
            frames = people[subject - 1][3:]
            for frame in (2 * number, 2 * number + 1):
                crop(subject, f"videos_{200 + number}_{frame}", frames[frame % len(frames)])
                metadata.append(f"{subject},{video},{frame}")
        for of in probes.values():
            of.append(video)
    meta = out / "meta"
    (meta / "cs6_metadata.csv").write_text("\n".join(metadata) + "\n")
    for kind, videos in probes.items():
        (meta / f"cs6_surveillance_to_{kind}_probe.csv").write_text("\n".join(["FILENAME", *videos]) + "\n")
    (meta / "cs6_uav_to_single-booking_probe.csv").write_text(f"FILENAME\n{probes['surveillance'][0]}\nimg/11.png\n")
    for (kind, g), rows in galleries.items():
        (meta / "galleries" / f"cs6_surveillance_to_{kind}_g{g}.csv").write_text("\n".join(rows) + "\n")
    return out
