"""Every route, over a real socket."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.search.settings import EnrolmentPolicy
from tests.serve.made_up import ADA, ADA_AGAIN, BOB, GROUP, NOBODY, STRANGER, enrol, files, found


def test_the_whole_way_from_enrolling_to_forgetting(start) -> None:
    client = start()
    assert found(client, ADA) == [("unknown", None)]
    told = enrol(client, "Ada", ADA, NOBODY).json()
    assert (told["images_added"], told["left_out"]) == (1, [{"photograph": 1, "why": "no face was found"}])
    assert enrol(client, "Bob", BOB).status_code == 200
    assert found(client, GROUP) == [("known", "Ada"), ("known", "Bob")]
    assert found(client, STRANGER) == [("unknown", None)]
    assert found(client, NOBODY) == []
    people = client.get("/v1/people").json()
    assert (people["total"], [(p["name"], p["images"]) for p in people["people"]]) == (2, [("Ada", 1), ("Bob", 1)])
    assert [p["name"] for p in client.get("/v1/people", params={"offset": 1, "limit": 1}).json()["people"]] == ["Bob"]
    ada = f"/v1/people/{told['person_id']}"
    assert client.delete(ada).json()["images"] == 1
    assert client.delete(ada).status_code == 404
    assert found(client, GROUP) == [("unknown", None), ("known", "Bob")]
    assert client.service.gallery.audit().problems == ()


def test_detect_takes_a_form_or_a_bare_photograph(start) -> None:
    client = start()
    for told in (
        client.post("/v1/detect", content=GROUP, headers={"content-type": "image/png"}),
        client.post("/v1/detect", content=GROUP, headers={"content-type": "application/octet-stream"}),
        client.post("/v1/detect", files=files(GROUP)),
    ):
        faces = told.json()["faces"]
        assert [(f["box"]["left"], f["box"]["width"], f["photograph"]) for f in faces] == [(10, 112, 0), (150, 90, 0)]
    several = client.post("/v1/detect?which=largest", files=files(NOBODY, GROUP)).json()
    assert [p["faces_found"] for p in several["photographs"]] == [0, 2]
    assert [f["photograph"] for f in several["faces"]] == [1]


def test_embeddings_are_those_of_the_model(start) -> None:
    client = start()
    told = client.post("/v1/embed", files=files(GROUP)).json()
    model = client.service.model.model
    from marginface.recognition import detect_and_align

    expected = model.embed(detect_and_align(GROUP, detector=client.service.looker.detector), flip="none")
    np.testing.assert_allclose([f["vector"] for f in told["faces"]], expected.vectors, atol=1e-6)
    np.testing.assert_allclose([f["norm"] for f in told["faces"]], expected.norms, rtol=1e-5)
    assert (told["fingerprint"], told["flip"]) == (model.fingerprint, "none")
    both = client.post("/v1/embed?flip=sum", files=files(ADA)).json()
    assert both["flip"] == "sum"


def test_two_photographs(start) -> None:
    client = start()

    def told(first: bytes, second: bytes, **how) -> dict:
        return client.post("/v1/verify", files={"first": first, "second": second}, params=how).json()

    assert (told(ADA, ADA_AGAIN)["decision"], told(ADA, BOB)["decision"]) == ("same", "different")
    assert (told(ADA, BOB, fmr=1e-3)["threshold"], told(ADA, BOB)["threshold"]) == (0.45, 0.5)
    nobody = told(ADA, NOBODY)
    assert (nobody["decision"], nobody["boxes"][1], nobody["faces_found"]) == ("cannot tell", None, [1, 0])


def test_quality_by_method(start) -> None:
    client = start()
    face = client.post("/v1/quality?method=sharpness&method=inter_eye_distance", files=files(ADA)).json()["faces"][0]
    assert set(face["quality"]) == {"sharpness", "inter_eye_distance"}
    assert face["quality"]["inter_eye_distance"] == pytest.approx(face["eye_distance"], abs=0.01)
    told = client.post("/v1/quality?method=beauty", files=files(ADA))
    assert told.status_code == 422
    assert "there is no quality method 'beauty'" in told.json()["detail"]


def test_without_a_threshold_nobody_is_named(start) -> None:
    client = start(calibrated=False)
    enrol(client, "Ada", ADA)
    told = client.post("/v1/search?top_k=3", files=files(ADA_AGAIN)).json()
    assert told["threshold"] is None
    face = told["faces"][0]
    assert (face["answer"], face["name"], face["candidates"][0]["name"]) == ("not decided", None, "Ada")
    assert found(client, ADA_AGAIN, threshold=0.6) == [("known", "Ada")]


def test_search_takes_one_kind_of_threshold(start) -> None:
    told = start().post("/v1/search?fmr=1e-3&threshold=0.5", files=files(ADA))
    assert (told.status_code, told.json()["detail"]) == (
        422,
        "say one of fmr, fpir and threshold, and only one.",
    )


def test_a_second_name_for_a_face_is_refused_unless_asked_for(start) -> None:
    client = start()
    enrol(client, "Ada", ADA)
    told = enrol(client, "Eve", ADA_AGAIN)
    assert told.status_code == 422
    assert "look like 'Ada'" in told.json()["detail"]
    assert enrol(client, "Eve", ADA_AGAIN, params={"allow_duplicate": True}).status_code == 200


def test_crops_are_kept_where_the_gallery_keeps_them_only(start, tmp_path) -> None:
    client = start(made={"policy": EnrolmentPolicy(keep_crops=True)})
    person = enrol(client, "Ada", ADA).json()["person_id"]
    (crop,) = client.service.gallery.store.samples(person).crops
    assert crop.startswith(b"\x89PNG")


def test_a_gallery_of_another_quality(start) -> None:
    client = start(made={"quality": "sharpness"})
    person = enrol(client, "Ada", ADA).json()["person_id"]
    scored = client.post("/v1/quality?method=sharpness", files=files(ADA)).json()["faces"][0]["quality"]["sharpness"]
    assert client.service.gallery.store.samples(person).qualities[0] == pytest.approx(scored)
    assert client.post("/v1/search", files=files(ADA)).json()["faces"][0]["quality"] == pytest.approx(scored)


def test_health_and_metrics(start) -> None:
    client = start()
    assert client.get("/health").json() | {"version": ""} == {"status": "ok", "version": "", "keys_needed": False}
    enrol(client, "Ada", ADA)
    client.request("MADEUP", "/health")
    text = client.get("/metrics").text
    for line in (
        "marginface_people 1",
        "marginface_faces_total 1",
        'marginface_batch_faces_bucket{le="1"} 1',
        'marginface_requests_total{route="/v1/enrol",method="POST",status="200"} 1',
        'marginface_requests_total{route="/health",method="other",status="405"} 1',
    ):
        assert line in text.splitlines()
    assert "Ada" not in text
    assert text.count("# TYPE marginface_requests_total counter") == 1
