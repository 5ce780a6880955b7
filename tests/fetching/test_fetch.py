"""The whole way: ask, download, crop, manifest, and nothing the second time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from marginface.errors import InputError, WorkError
from marginface.fetching import fetch
from marginface.records.open import open_records
from tests.fetching.drawings import lfw_archive, london_archives

PAIRS = b"1\t1\nAda\t1\t2\nAda\t1\tCarl\t1\n"


def quiet(what: str, done: int, total: int) -> None:
    pass


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def registry(server, tmp_path) -> Path:
    """A registry of two tiny sets on the local server."""
    archive = lfw_archive({"Ada": 2, "Carl": 1})
    neutral, smiling = london_archives(["001", "002"])
    entries = {
        "lfw": ("lfw", "true", 3, 2, {"photographs": ("lfw.tgz", archive), "pairs": ("pairs.txt", PAIRS)}),
        "london": ("london", "false", 4, 2, {"neutral": ("n.zip", neutral), "smiling": ("s.zip", smiling)}),
    }
    lines = []
    for name, (layout, research_only, num_images, num_identities, files) in entries.items():
        lines += [
            f"[{name}]",
            f'layout = "{layout}"\nresearch_only = {research_only}\nnum_images = {num_images}',
            f'num_identities = {num_identities}\ntitle = "Tiny {name}"\nhome = "https://example.org"',
            'contains = "drawings"\nlicence = "L"\ncitation = "C"',
        ]
        for role, (file, content) in files.items():
            address = server.serve(f"/{file}", content)
            checksum = "unrecorded" if name == "london" else f"sha256:{sha256(content)}"
            lines += [f"[[{name}.files]]", f'role = "{role}"\nname = "{file}"']
            lines += [f'address = "{address}"\nchecksum = "{checksum}"']
    path = tmp_path / "sets.toml"
    path.write_text("\n".join(lines))
    return path


def bring(name: str, registry: Path, destination: Path, **how):
    return fetch(
        name, **{"destination": destination, "registry": registry, "confirm": lambda _: True, "progress": quiet, **how}
    )


def test_lfw_comes_as_records_with_pairs_and_a_manifest(registry, tmp_path):
    fetched = bring("lfw", registry, tmp_path / "lfw")
    records = open_records(fetched.records)
    assert (len(records), records.identities) == (3, ("Ada", "Carl"))
    assert fetched.pairs is not None
    assert fetched.pairs.read_bytes() == PAIRS
    manifest = json.loads((tmp_path / "lfw" / "manifest.json").read_text())
    assert manifest == fetched.manifest
    assert (manifest["num_images"], manifest["num_identities"], manifest["failures"]) == (3, 2, {})
    assert manifest["sources"][1]["sha256"] == sha256(PAIRS)
    assert manifest["outputs"]["lfw.tar"]["sha256"] == sha256((tmp_path / "lfw" / "lfw.tar").read_bytes())
    assert str(tmp_path) not in json.dumps(manifest)


def test_a_second_run_does_nothing_asks_nothing_and_says_so(registry, tmp_path, server):
    bring("lfw", registry, tmp_path / "lfw")
    server.asked.clear()
    again = bring("lfw", registry, tmp_path / "lfw", confirm=lambda _: pytest.fail("asked again"))
    assert again.was_there
    assert server.asked == []
    assert "was there already and is intact" in again.summary()


@pytest.mark.parametrize("name", ["lfw.tar", "pairs.txt", "manifest.json"])
def test_a_harmed_result_is_made_again_from_the_downloads(registry, tmp_path, server, name):
    bring("lfw", registry, tmp_path / "lfw")
    good = {p.name: p.read_bytes() for p in (tmp_path / "lfw").glob("*.t*")}
    server.asked.clear()
    (tmp_path / "lfw" / name).write_bytes(b"harmed")
    assert not bring("lfw", registry, tmp_path / "lfw").was_there
    assert server.asked == []
    assert {p.name: p.read_bytes() for p in (tmp_path / "lfw").glob("*.t*")} == good


def test_terms_are_asked_about_before_anything_is_downloaded(registry, tmp_path, server):
    asked = []
    with pytest.raises(InputError, match="its terms were not accepted"):
        bring("lfw", registry, tmp_path / "lfw", confirm=lambda s: asked.append(s.terms()) or False)
    assert "For research only" in asked[0]
    assert server.asked == []
    assert not (tmp_path / "lfw").exists()


def test_a_free_set_is_fetched_unasked_and_unrecorded_checksums_are_told(registry, tmp_path):
    fetched = bring("london", registry, tmp_path / "london", confirm=lambda _: pytest.fail("asked"))
    assert len(open_records(fetched.records)) == 4
    assert fetched.pairs is None
    assert "No checksum is on record for n.zip" in fetched.summary()
    assert (tmp_path / "london" / "downloads" / "n.zip.sha256").exists()


def test_an_interrupted_fetch_goes_on(registry, tmp_path, server):
    served = server.files["/lfw.tgz"]
    served.break_after = [len(served.content) // 2]
    assert bring("lfw", registry, tmp_path / "lfw").manifest["num_images"] == 3


def test_a_failed_conversion_leaves_no_manifest_and_a_full_disk_is_a_sentence(registry, tmp_path):
    def fills_up(what: str, done: int, total: int) -> None:
        if what == "crops" and done == 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(WorkError, match="the records of lfw could not be written: the disk is full"):
        bring("lfw", registry, tmp_path / "lfw", progress=fills_up)
    assert sorted(p.name for p in (tmp_path / "lfw").iterdir()) == ["downloads"]
    assert bring("lfw", registry, tmp_path / "lfw").manifest["num_images"] == 3


def test_a_wrong_detector_is_refused_before_the_download(registry, tmp_path, server):
    with pytest.raises(InputError, match="there is no such detector file"):
        bring("lfw", registry, tmp_path / "lfw", detector=tmp_path / "none.onnx")
    assert server.asked == []


def test_a_number_of_photographs_other_than_the_registry_says_is_told(registry, tmp_path):
    registry.write_text(registry.read_text().replace("num_images = 3", "num_images = 5"))
    assert "should have 5 photographs" in bring("lfw", registry, tmp_path / "lfw").summary()
