"""The OpenAPI document is true: whatever schemathesis makes of it, nothing breaks and every answer is one it tells."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from marginface.serve.app import build_app
from tests.serve.made_up import ADA, new_service, running

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ROUTES = [
    *(("POST", f"/v1/{name}") for name in ("detect", "embed", "quality", "search", "verify", "enrol")),
    ("GET", "/v1/people"),
    ("DELETE", "/v1/people/{person_id}"),
    ("GET", "/health"),
    ("GET", "/metrics"),
]


def try_out(route: tuple[str, str], address: str, *, examples: int) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operation = schema[route[1]][route[0]]

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def told(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    told()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory):
    service = new_service(tmp_path_factory.mktemp("openapi"), requests_per_second=0)
    service.enrol("Ada", [ADA])
    with running(service) as here:
        yield here


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_few_requests_to_each_route(address: str, route: tuple[str, str]) -> None:
    try_out(route, address, examples=4)


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_many_requests_to_each_route(address: str, route: tuple[str, str]) -> None:
    try_out(route, address, examples=300)


def test_every_route_is_in_the_document_with_its_refusals(tmp_path: Path) -> None:
    service = new_service(tmp_path)
    document = build_app(service)._app.openapi()
    service.close()
    told = {
        (method.upper(), path): one for path, methods in document["paths"].items() for method, one in methods.items()
    }
    assert set(told) == set(ROUTES)
    for (method, path), one in told.items():
        if path.startswith("/v1"):
            wanted = {"200", "401", "403", "422", "429", "503"} | ({"400", "413", "415"} if method == "POST" else set())
            assert wanted <= set(one["responses"])
            refusal = one["responses"]["422"]["content"]["application/json"]["schema"]
            assert refusal == {"$ref": "#/components/schemas/Problem"}
            assert one["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            assert one["security"]
