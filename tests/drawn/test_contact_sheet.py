"""The contact sheet is people by nuisance, as a PNG that others can read."""

import cv2
import numpy as np
import pytest

from marginface.drawn import DrawnPeople, contact_sheet, write_contact_sheet
from marginface.drawn.contact_sheet import COLUMNS
from marginface.errors import InputError, WorkError


def test_rows_are_people_and_columns_are_nuisances(tmp_path):
    people = DrawnPeople(3, 2, seed=5)
    path = write_contact_sheet(people, tmp_path / "deep" / "sheet.png", num_people=2, size=48)
    sheet = cv2.imread(str(path))[..., ::-1]
    assert sheet.shape == (18 + 2 * 48, (len(COLUMNS) + 2) * 48, 3)
    assert np.array_equal(sheet, contact_sheet(people, num_people=2, size=48))
    first_person, second_person = sheet[18:66], sheet[66:]
    assert not np.array_equal(first_person, second_person)


def test_a_sheet_of_nobody_or_in_an_impossible_place_is_refused(tmp_path):
    people = DrawnPeople(1, 1, seed=5)
    with pytest.raises(InputError, match="0 people"):
        contact_sheet(people, num_people=0)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkError, match="could not write the contact sheet"):
        write_contact_sheet(people, tmp_path / "file" / "sheet.png", num_people=1, size=32)
