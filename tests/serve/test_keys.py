"""API keys: shown once, kept as hashes, revoked while the service runs; without one nothing is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marginface.cli.main import main
from marginface.errors import InputError
from marginface.serve.keys import ROLES, KeyFile, create_key, revoke_key
from tests.serve.made_up import ADA, enrol, files


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """A key for each role, by role, and the file's path."""
    path = tmp_path / "keys.json"
    return {role: create_key(path, role)[1] for role in ROLES} | {"file": str(path)}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_the_file_holds_no_key_and_is_its_owners_only(keys) -> None:
    path = Path(keys["file"])
    assert path.stat().st_mode & 0o777 == 0o600
    for role in ROLES:
        key_id, secret = keys[role].split("_", 2)[1:]
        assert secret not in path.read_text()
        assert len(secret) == 43
        assert KeyFile(path).who(keys[role]).key_id == key_id
    lines = json.loads(path.read_text())["keys"]
    assert len({line["salt"] for line in lines}) == len({line["digest"] for line in lines}) == 3


def test_only_the_whole_key_opens(keys) -> None:
    file = KeyFile(Path(keys["file"]))
    key = keys["admin"]
    last = "A" if key[-2] != "A" else "B"
    other_id = keys["read"].split("_")[1]
    for wrong in (
        "",
        "mf",
        key[:-1],
        key + "A",
        key[:-2] + last + key[-1],
        key.upper(),
        key.replace(key[3:11], other_id),
    ):
        assert file.who(wrong) is None


def test_a_role_may_do_what_those_before_it_may(keys) -> None:
    file = KeyFile(Path(keys["file"]))
    allowed = {role: [asked for asked in ROLES if file.who(keys[role]).may(asked)] for role in ROLES}
    assert allowed == {"read": ["read"], "enrol": ["read", "enrol"], "admin": ["read", "enrol", "admin"]}


def test_without_a_key_nothing_is_served_but_health_and_the_page(start, keys) -> None:
    client = start(keys=Path(keys["file"]))
    paths = client.get("/openapi.json").json()["paths"]
    asked = {(method, path) for path, methods in paths.items() for method in methods}
    assert len(asked) == 10
    for method, path in asked - {("get", "/health")}:
        for headers in ({}, bearer("mf_00000000_" + "A" * 43), {"Authorization": "Basic QTpC"}):
            told = client.request(method, path.replace("{person_id}", "0" * 32), headers=headers)
            assert told.status_code == 401, path
            assert told.headers["www-authenticate"] == "Bearer"
    assert client.get("/health").json()["keys_needed"]
    assert client.get("/").status_code == 200


def test_each_route_has_its_role(start, keys) -> None:
    client = start(keys=Path(keys["file"]))
    assert enrol(client, "Ada", ADA, headers=bearer(keys["read"])).status_code == 403
    assert client.get("/v1/people", headers=bearer(keys["read"])).status_code == 403
    person = enrol(client, "Ada", ADA, headers=bearer(keys["enrol"])).json()["person_id"]
    assert client.post("/v1/search", files=files(ADA), headers=bearer(keys["read"])).status_code == 200
    assert client.get("/v1/people", headers=bearer(keys["enrol"])).json()["total"] == 1
    for role in ("read", "enrol"):
        told = client.delete(f"/v1/people/{person}", headers=bearer(keys[role]))
        assert (told.status_code, told.json()["detail"]) == (
            403,
            f"this key has the role '{role}'; 'admin' is needed here.",
        )
    assert client.delete(f"/v1/people/{person}", headers=bearer(keys["admin"])).status_code == 200


def test_a_revoked_key_ends_while_the_service_runs(start, keys) -> None:
    path = Path(keys["file"])
    client = start(keys=path)
    assert client.get("/v1/people", headers=bearer(keys["enrol"])).status_code == 200
    revoke_key(path, keys["enrol"].split("_")[1])
    assert client.get("/v1/people", headers=bearer(keys["enrol"])).status_code == 401
    assert client.get("/v1/people", headers=bearer(keys["admin"])).status_code == 200


def test_a_damaged_file_lets_nobody_in(start, keys) -> None:
    path = Path(keys["file"])
    client = start(keys=path)
    path.write_text("{}")
    assert client.get("/v1/people", headers=bearer(keys["admin"])).status_code == 503
    path.unlink()
    assert client.get("/v1/people", headers=bearer(keys["admin"])).status_code == 503


def test_the_verbs(tmp_path: Path, capsys) -> None:
    path = str(tmp_path / "keys.json")
    assert main(["keys", "create", path, "--role", "enrol", "--note", "the door"]) == 0
    key = capsys.readouterr().out.strip()
    assert KeyFile(Path(path)).who(key).role == "enrol"
    assert main(["keys", "list", path]) == 0
    key_id, role, _, note = capsys.readouterr().out.rstrip("\n").split("\t")
    assert (key.split("_")[1], role, note) == (key_id, "enrol", "the door")
    assert main(["keys", "revoke", path, key_id]) == 0
    assert KeyFile(Path(path)).who(key) is None
    assert main(["keys", "revoke", path, key_id]) == 2
    assert f"there is no key '{key_id}'" in capsys.readouterr().err
    assert main(["keys", "list", str(tmp_path / "nothing.json")]) == 2


def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no role 'root'"):
        create_key(tmp_path / "keys.json", "root")
