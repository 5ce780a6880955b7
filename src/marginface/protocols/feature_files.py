"""Embeddings as MegaFace's kit and insightface's scripts leave them: one file an image, under the image's path.

    4 int32 (D, 1, 4, 5), little-endian: rows, columns, bytes a value, and OpenCV's number of float32
    D float32

`<person>/<image>.jpg_<algorithm>.bin` or `<image>.bin`. insightface's cleaned features have one value more: 0, or 100
for an image that its lists call noise. (It also moves noisy FaceScrub images to the centre of their class, where they
are found; here whatever is marked is left out and counted.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.embedding_table import EmbeddingTable

HEADER = 16
CV_32F = 5
_IMAGE = re.compile(r"(?P<image>.*\.(?:jpg|jpeg|png|bmp))(?:_[^/]*)?\.bin", re.IGNORECASE)


def read_feature_file(path: Path) -> npt.NDArray[np.float32]:
    """Return the values of a feature file.

    Raises:
        InputError: not such a file, or one of another length than it says.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: this file of features cannot be read ({error.strerror}).") from error
    head = np.frombuffer(data[:HEADER], "<i4") if len(data) >= HEADER else np.empty(0, np.int32)
    if len(head) != 4 or head[1] != 1 or head[3] != CV_32F or len(data) != HEADER + 4 * int(head[0]):
        raise InputError(f"{path}: a file of features begins with D, 1, 4, 5 as int32 and holds D float32.")
    return np.frombuffer(data[HEADER:], "<f4").astype(np.float32)


def write_feature_file(path: Path, values: npt.ArrayLike) -> None:
    """Write (D,) values as MegaFace's kit reads them."""
    row = np.asarray(values, "<f4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.array([len(row), 1, 4, CV_32F], "<i4").tobytes() + row.tobytes())


def read_feature_files(folders: Mapping[str, Path], *, marked: bool = False) -> EmbeddingTable:
    """Return the feature files of folders as one table; what is marked as noise is left out and counted.

    Args:
        folders: by prefix of the keys, as sources are joined: `{"": facescrub, "distractors": megaface}`; the folder of
            an image is its person.
        marked: the last value is insightface's mark rather than part of the embedding.

    Returns:
        A table whose keys are the paths of the images, with `meta["noisy"]`, how many of each prefix were marked.

    Raises:
        InputError: no files, a damaged one, or files of several lengths.
    """
    keys: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    noisy = dict.fromkeys(folders, 0)
    for prefix, folder in folders.items():
        for path in sorted(folder.rglob("*.bin")):
            values = read_feature_file(path)
            if rows and len(values) != len(rows[0]):
                raise InputError(f"{path}: {len(values):,} values, and those before it have {len(rows[0]):,}.")
            if marked and values[-1] != 0:
                noisy[prefix] += 1
                continue
            relative = path.relative_to(folder).as_posix()
            named = _IMAGE.fullmatch(relative)
            key = named["image"] if named else relative.removesuffix(".bin")
            keys.append(f"{prefix}/{key}" if prefix else key)
            rows.append(values)
    if not rows:
        raise InputError(f"{', '.join(map(str, folders.values()))}: there are no feature files (*.bin) in there.")
    vectors = np.stack(rows)[:, : -1 if marked else None]
    people, labels = np.unique([key.rpartition("/")[0] for key in keys], return_inverse=True)
    return EmbeddingTable(
        vectors=np.ascontiguousarray(vectors),
        norms=np.linalg.norm(vectors, axis=1).astype(np.float32),
        keys=tuple(keys),
        labels=labels.astype(np.int64),
        identities=tuple(people.tolist()),
        fingerprint="feature files",
        meta={"embedder": "feature files", "source": ", ".join(map(str, folders.values())), "noisy": noisy},
    )
