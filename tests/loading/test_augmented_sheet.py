"""The picture shows what training sees, with the strengths below; whatever cannot be shown is refused in words."""

import cv2
import numpy as np
import pytest

from marginface.cli.main import main
from marginface.errors import InputError
from marginface.images.augment import AugmentConfig
from marginface.images.augmentation import OPERATIONS
from marginface.images.decode import decode_image
from marginface.loading.augmented_sheet import sheet_of_config, sheet_of_operations
from marginface.records.image_folder import ImageFolder
from tests.helpers.synthetic import write_faces

SIZE, HEIGHT, LEFT = 32, 32 + 16, 132


@pytest.fixture
def source(tmp_path):
    return ImageFolder(write_faces(tmp_path / "faces", num_identities=3, images_per_identity=2, size=SIZE))


def test_columns_are_the_first_epochs_of_training(source):
    config = AugmentConfig(preset="adaface")
    picture = sheet_of_config(source, config, num_images=2, seed=4, size=SIZE)
    assert picture.shape == (2 * HEIGHT, LEFT + 9 * SIZE, 3)
    for row, index in enumerate((0, 3)):
        plain = decode_image(source[index].image, name="x")
        expected = [plain, *(config.build(seed=4).alone(plain, epoch=epoch, index=index)[0] for epoch in range(8))]
        np.testing.assert_array_equal(picture[row * HEIGHT : row * HEIGHT + SIZE, LEFT:], np.hstack(expected))


def test_every_operation_has_a_row(source):
    picture = sheet_of_operations(source, num_images=2, seed=0, size=SIZE)
    assert picture.shape == (len(OPERATIONS) * HEIGHT, LEFT + 2 * SIZE, 3)  # one_of has none, the plain images do


def test_the_verb_writes_it(source, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert main(["data", "augment", source.location, "--out", str(out), "--preset", "cvlface", "--images", "1"]) == 0
    assert cv2.imread(str(out)).shape == (112 + 16, LEFT + 9 * 112, 3)
    assert f"wrote {out}" in capsys.readouterr().out
    assert main(["data", "augment", source.location, "--out", str(out), "--recipe", "demo", "--images", "1"]) == 0
    assert main(["data", "augment", source.location, "--out", str(tmp_path / "a.gif")]) == 2
    assert main(["data", "augment", source.location, "--out", str(out), "--preset", "a", "--recipe", "b"]) == 2
    with pytest.raises(InputError, match="has 6 images; show 1 to as many, not 7"):
        sheet_of_operations(source, num_images=7, seed=0, size=SIZE)
