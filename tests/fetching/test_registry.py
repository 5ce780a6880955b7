"""The shipped registry, and what is refused in one."""

from pathlib import Path

import pytest

from marginface.errors import InputError
from marginface.fetching.layouts import LAYOUTS
from marginface.fetching.registry import PublicFile, public_set, public_sets


def test_shipped_registry_holds_lfw_and_the_london_set_with_terms_and_known_layouts():
    sets = public_sets()
    assert set(sets) == {"lfw", "london"}
    assert sets["lfw"].research_only
    assert not sets["london"].research_only
    for entry in sets.values():
        assert entry.layout in LAYOUTS
        assert all((entry.licence, entry.citation, entry.home.startswith("http")))


def test_lfw_addresses_and_checksums_are_those_of_scikit_learn():
    lfw = pytest.importorskip("sklearn.datasets._lfw")
    ours = {f.name: (f.address, f.checksum) for f in public_set("lfw").files}
    theirs = {f.filename: (f.url, f"sha256:{f.checksum}") for f in (lfw.FUNNELED_ARCHIVE, *lfw.TARGETS)}
    assert ours == {name: theirs[name] for name in ours}


def test_terms_say_licence_citation_size_and_which_checksums_nobody_has_recorded():
    said = {
        "lfw": ("For research only", "07-49", "244 MB"),
        "london": ("CC BY 4.0", "No checksum is on record for neutral_front.zip"),
    }
    for name, words in said.items():
        assert [w for w in words if w not in public_set(name).terms()] == []


def test_unknown_set_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="did you mean 'london'"):
        public_set("londn")


@pytest.mark.parametrize(
    "field", [{"checksum": "sha256:abc"}, {"name": "../evil"}, {"name": "a/b"}, {"address": "file:///etc/passwd"}]
)
def test_an_entry_that_could_do_harm_is_refused(field):
    good = {"role": "a", "name": "a.zip", "address": "https://example.org/a.zip", "checksum": "unrecorded"}
    with pytest.raises(ValueError):
        PublicFile(**{**good, **field})


@pytest.mark.parametrize("text", ["[lfw", "[lfw]\ntitle = 'x'\n", "[lfw]\nfiles = [{nam = 'x'}]\n"])
def test_a_registry_that_does_not_fit_is_refused_naming_the_file(tmp_path: Path, text: str):
    path = tmp_path / "sets.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"sets\.toml"):
        public_sets(path)
