"""Published weights over a connection that breaks, under terms that have to be accepted, checked and imported."""

from __future__ import annotations

import hashlib
import io
import tomllib
from pathlib import Path

import pytest
import torch

from marginface.cli.main import main
from marginface.errors import InputError, WorkError
from marginface.fetching import model_registry
from marginface.fetching.model_registry import published_models
from marginface.fetching.pull import pull
from marginface.models import load_model
from tests.models.published import CASES, network_of

ENTRY = """
[tiny]
title = "A tiny network"
home = "https://example.org"
family = "{family}"
licence = "for the test"
commercial_use = "{commercial_use}"
training_data = "nobody"
citation = "none"
{more}
[[tiny.files]]
role = "network"
name = "model.pt"
address = "{address}"
checksum = "{checksum}"
"""


@pytest.fixture(scope="module")
def content() -> bytes:
    buffer = io.BytesIO()
    torch.save(CASES["multiface mobile"].make(), buffer)
    return buffer.getvalue()


def registry(folder: Path, server, content: bytes, **changes: str) -> Path:
    if "/model.pt" not in server.files:
        server.serve("/model.pt", content)
    fields = {
        "family": "multiface",
        "commercial_use": "not allowed",
        "more": "",
        "address": server.serve("/model.pt", content)
        if "/model.pt" not in server.files
        else server.address + "/model.pt",
        "checksum": f"sha256:{hashlib.sha256(content).hexdigest()}",
        **changes,
    }
    path = folder / "registry.toml"
    path.write_text(ENTRY.format(**fields))
    return path


def bring(path: Path, folder: Path, *, accept: bool = True):
    asked = []

    def confirm(terms) -> bool:
        asked.append(terms.terms())
        return accept

    imported = pull("tiny", folder=folder, confirm=confirm, progress=lambda *_: None, registry=path)
    return imported, asked


def test_a_model_is_downloaded_checked_and_imported(server, content, tmp_path):
    imported, asked = bring(registry(tmp_path, server, content), tmp_path / "models" / "tiny")
    model = load_model(tmp_path / "models" / "tiny")
    assert model.fingerprint == imported.model.fingerprint
    assert torch.equal(model.backbone.linear.weight, network_of("mobilefacenet").linear.weight)
    assert (model.card.name, model.card.licence, model.card.training_data) == ("tiny", "for the test", "nobody")
    assert model.card.commercial_use == "not allowed"
    assert "Commercial use: not allowed." in asked[0]
    bring(registry(tmp_path, server, content), tmp_path / "models" / "tiny")
    assert len(server.asked) == 1  # what is there is not asked for again


def test_a_broken_connection_is_taken_up_where_it_broke(server, content, tmp_path):
    server.serve("/model.pt", content, break_after=[100_000, 50_000])
    bring(registry(tmp_path, server, content), tmp_path / "models" / "tiny")
    assert [wanted is not None for _, wanted in server.asked] == [False, True, True]


def test_other_bytes_than_those_on_record_are_refused(server, content, tmp_path):
    path = registry(tmp_path, server, content, checksum="sha256:" + "0" * 64)
    with pytest.raises(WorkError, match="model.pt"):
        bring(path, tmp_path / "models" / "tiny")
    assert not (tmp_path / "models" / "tiny").exists()


def test_an_unrecorded_file_is_held_to_its_first_download(server, content, tmp_path):
    path = registry(tmp_path, server, content, checksum="unrecorded")
    bring(path, tmp_path / "models" / "tiny")
    (tmp_path / "models" / ".downloads" / "tiny" / "model.pt").write_bytes(content + b"x")
    with pytest.raises(InputError, match="not the one that was first downloaded"):
        bring(path, tmp_path / "models" / "tiny")


def test_nothing_is_downloaded_before_the_terms_are_accepted(server, content, tmp_path):
    with pytest.raises(InputError, match="its terms were not accepted"):
        bring(registry(tmp_path, server, content), tmp_path / "tiny", accept=False)
    assert server.asked == []


def test_terms_that_allow_commercial_use_are_not_asked_about(server, content, tmp_path):
    path = registry(tmp_path, server, content, commercial_use="allowed")
    assert bring(path, tmp_path / "tiny", accept=False)[1] == []


def test_a_file_of_another_family_is_not_imported(server, content, tmp_path):
    with pytest.raises(WorkError, match="of the family multiface, but the registry says edgeface"):
        bring(registry(tmp_path, server, content, family="edgeface"), tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()


def test_the_registry_may_tell_the_contract(server, tmp_path):
    buffer = io.BytesIO()
    torch.save(CASES["tface"].make(), buffer)
    more = 'colour_order = "rgb"\nvalue_range = "minus_one_to_one"'
    path = registry(tmp_path, server, buffer.getvalue(), family="tface", more=more)
    assert bring(path, tmp_path / "tiny")[0].model.contract.colour_order == "rgb"


def test_what_stands_beside_the_weights_comes_too(server, tmp_path):
    buffer = io.BytesIO()
    torch.save(CASES["cvlface"].make(), buffer)
    path = registry(tmp_path, server, buffer.getvalue(), family="cvlface")
    settings = b"name: ir18\ncolor_space: BGR\n"
    address = server.serve("/model.yaml", settings)
    with path.open("a") as file:
        file.write(
            f'[[tiny.files]]\nrole = "settings"\nname = "model.yaml"\naddress = "{address}"\n'
            f'checksum = "sha256:{hashlib.sha256(settings).hexdigest()}"\n'
        )
    assert bring(path, tmp_path / "tiny")[0].model.contract.colour_order == "bgr"


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"mobilefacenet-bubliiing: there is no .* did you mean 'mobilefacenet-bubb"):
        pull("mobilefacenet-bubliiing", folder=tmp_path, confirm=lambda _: True, progress=lambda *_: None)


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"family": "megaface"}, "'megaface' is no family"),
        ({"commercial_use": "perhaps"}, "commercial_use is 'perhaps'"),
        ({"more": "colour = 1"}, "unexpected keyword argument 'colour'"),
        ({"address": "ftp://x"}, "neither http nor https"),
    ],
)
def test_a_registry_that_does_not_fit_is_refused(changes, told, server, content, tmp_path):
    with pytest.raises(InputError, match=told):
        published_models(registry(tmp_path, server, content, **changes))


def test_the_shipped_registry_is_whole():
    models = published_models()
    text = (Path(model_registry.__file__).parent / "published_models.toml").read_text()
    assert set(models) == set(tomllib.loads(text)) >= {"edgeface-xxs-q", "mobilefacenet-xiaoccer"}
    for model in models.values():
        assert all(file.address.startswith("https://") for file in model.files)
        assert "No checksum is on record" in model.terms()


def test_the_verb_asks_for_yes_and_then_pulls(server, content, tmp_path, capsys):
    words = ["models", "pull", "tiny", "--registry", str(registry(tmp_path, server, content))]
    words += ["--out", str(tmp_path / "models" / "tiny")]
    assert main(words) == 2
    assert "read its terms above and accept them with --yes" in capsys.readouterr().err
    assert main([*words, "--yes"]) == 0
    assert "tiny: for the test; commercial use not allowed; nobody" in capsys.readouterr().out
    assert main(["models", "list", str(tmp_path / "models")]) == 0
    assert "NON-COMMERCIAL" in capsys.readouterr().out


def test_without_a_name_the_known_models_are_listed(capsys):
    assert main(["models", "pull"]) == 0
    assert "edgeface-xxs-q: EdgeFace-XXS" in capsys.readouterr().out
