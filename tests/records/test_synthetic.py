"""A source for speed tests is a source like any other."""

import pickle

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.records.record import RecordSource
from marginface.records.synthetic import SyntheticImages


def test_labels_cover_all_people_and_images_repeat_from_a_pool():
    source = SyntheticImages("1000", people="7", size="16")
    assert isinstance(source, RecordSource)
    assert np.bincount(source.labels).tolist() == [143] * 6 + [142]
    assert source[-1].key == "999"
    assert source[8].image.shape == (16, 16, 3)
    assert source[8].identity == source.identities[1] == "1"
    np.testing.assert_array_equal(source[3].image, source[67].image)
    assert not np.array_equal(source[3].image, source[4].image)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[5].image, source[5].image)
    with pytest.raises(IndexError):
        source[1000]


@pytest.mark.parametrize("number, options", [("0", {}), ("x", {}), ("5", {"people": "6"}), ("9", {"size": "100000"})])
def test_numbers_out_of_range_are_refused(number, options):
    with pytest.raises(InputError, match="is a whole number of 1 to"):
        SyntheticImages(number, **({"people": "1"} | options))
