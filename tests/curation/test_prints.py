"""A checksum finds equal bytes; a tiny picture finds the same photograph in another encoding, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np

from marginface.curation.prints import image_prints
from marginface.drawn import DrawnPeople
from marginface.images.decode import decode_image
from marginface.records.image_folder import ImageFolder


def test_another_encoding_looks_alike_and_another_photograph_does_not(tmp_path):
    drawn = DrawnPeople(2, 3, seed=0)
    images = [decode_image(drawn[i].image, name=str(i)) for i in range(6)]
    (tmp_path / "a").mkdir()
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / "a" / f"{i}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    small = cv2.resize(images[0], (84, 84), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "a" / "6.jpg"), cv2.convertScaleAbs(small, alpha=1.05, beta=6)[..., ::-1], [1, 60])
    (tmp_path / "a" / "7.jpg").write_bytes((tmp_path / "a" / "0.jpg").read_bytes())
    prints = image_prints(ImageFolder(tmp_path))
    assert prints.digest[0] == prints.digest[7]
    assert prints.digest[0] != prints.digest[6]
    zeros = np.zeros(6, np.int64)
    others = np.arange(1, 7)
    alike = prints.alike(zeros, others)
    assert alike[5] > 0.99
    assert alike[:5].max() < 0.97


def test_an_image_that_cannot_be_decoded_is_like_no_other(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.jpg").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "a" / "1.png"), np.full((20, 20, 3), 90, np.uint8))  # nothing but grey
    calls = []
    prints = image_prints(ImageFolder(tmp_path), progress=lambda done, total: calls.append((done, total)))
    assert not prints.tiny.any()
    assert prints.digest[0] != prints.digest[1]
    assert calls == [(2, 2)]
