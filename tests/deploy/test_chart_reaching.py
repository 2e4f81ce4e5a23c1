"""How the API is reached, how a release is tested, and what its notes say next."""

import asyncio
import re
import sys

import pytest
from helm_python import values_from_yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relay.api.routes import OPERATIONS
from tests.deploy.chart import (
    CHART,
    CREDENTIALS,
    DATABASE_URL,
    POSTGRES,
    SPLIT,
    SQLITE,
    Manifest,
    component,
    container,
    every,
    kinds,
    notes,
    only,
    render,
    service,
    shapes,
)
from tests.serving import serving

PUBLIC = sorted({*(operation.path for operation in OPERATIONS), "/openapi.json"})
INGRESS: Manifest = {"ingress": {"enabled": True, "hosts": ["relay.example.com"]}}
ROUTE: Manifest = {
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]}
}


def led_to(path: str, rules: list[tuple[str, str]]) -> bool:
    """By the rules of Ingress and HTTPRoute alike: a prefix ends at a slash."""
    return any(
        path == rule or (kind in {"Prefix", "PathPrefix"} and path.startswith(f"{rule}/"))
        for kind, rule in rules
    )


def ingress_rules(manifests: list[Manifest]) -> list[tuple[str, str]]:
    [rule] = only("Ingress", manifests)["spec"]["rules"]
    return [(path["pathType"], path["path"]) for path in rule["http"]["paths"]]


def route_rules(manifests: list[Manifest]) -> list[tuple[str, str]]:
    [rule] = only("HTTPRoute", manifests)["spec"]["rules"]
    return [(match["path"]["type"], match["path"]["value"]) for match in rule["matches"]]


@pytest.mark.parametrize("path", PUBLIC)
def test_every_call_of_the_api_is_led_to(path: str) -> None:
    manifests = render(SQLITE | INGRESS | ROUTE)

    assert led_to(path, ingress_rules(manifests))
    assert led_to(path, route_rules(manifests))


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics", "/v10", "/openapi.json/x"])
def test_nothing_else_is_led_to(path: str) -> None:
    manifests = render(SQLITE | INGRESS | ROUTE)

    assert not led_to(path, ingress_rules(manifests))
    assert not led_to(path, route_rules(manifests))


@pytest.mark.parametrize("values", [SQLITE, SPLIT])
def test_ingress_and_route_end_at_the_apis_service(values: Manifest) -> None:
    manifests = render(values | INGRESS | ROUTE)

    name = service(manifests)["metadata"]["name"]
    [rule] = only("Ingress", manifests)["spec"]["rules"]
    [routed] = only("HTTPRoute", manifests)["spec"]["rules"]
    assert rule["host"] == "relay.example.com"
    assert {path["backend"]["service"]["name"] for path in rule["http"]["paths"]} == {name}
    assert routed["backendRefs"] == [{"name": name, "port": 80}]


def test_each_host_is_led_to_and_is_on_the_certificate() -> None:
    hosts = ["a.example.com", "b.example.com"]
    ingress = {"enabled": True, "hosts": hosts, "tlsSecret": "relay-tls", "className": "nginx"}

    spec = only("Ingress", render(SQLITE | {"ingress": ingress}))["spec"]

    assert [rule["host"] for rule in spec["rules"]] == hosts
    assert spec["tls"] == [{"hosts": hosts, "secretName": "relay-tls"}]
    assert spec["ingressClassName"] == "nginx"


def test_the_console_is_led_to_where_it_is_asked_for_and_nowhere_else() -> None:
    paths = ["/v1", "/ui"]
    plain = render(SQLITE | INGRESS | ROUTE)

    manifests = render(
        SQLITE
        | {"ingress": INGRESS["ingress"] | {"paths": paths}}
        | {"httpRoute": ROUTE["httpRoute"] | {"paths": paths}}
    )

    for rules in (ingress_rules, route_rules):
        assert not led_to("/ui", rules(plain))
        for path in ("/ui", "/ui/registrations", "/ui/static/0/console.css"):
            assert led_to(path, rules(manifests))
        assert not led_to("/uix", rules(manifests))


def test_only_the_keys_to_verify_with_may_be_public() -> None:
    paths = ["/.well-known/jwks.json"]

    manifests = render(
        SQLITE
        | {"ingress": INGRESS["ingress"] | {"paths": paths}}
        | {"httpRoute": ROUTE["httpRoute"] | {"paths": paths, "hostnames": ["keys.example.com"]}}
    )

    assert ingress_rules(manifests) == [("Exact", "/.well-known/jwks.json")]
    assert route_rules(manifests) == [("Exact", "/.well-known/jwks.json")]
    assert only("HTTPRoute", manifests)["spec"]["hostnames"] == ["keys.example.com"]


@pytest.mark.parametrize("values", [SQLITE, SPLIT | {"operationsPort": 9100, "service": {"port": 8443}}])
def test_the_releases_test_asks_its_services(values: Manifest) -> None:
    manifests = render(values)

    pod = only("Pod", manifests)
    api, operations = (component("Service", name, manifests) for name in ("api", "operations"))
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container(pod["spec"])["args"][1:] == [
        f"http://{each['metadata']['name']}:{each['spec']['ports'][0]['port']}{path}"
        for each, path in ((api, "/openapi.json"), (operations, "/readyz"))
    ]


@pytest.mark.parametrize(("ready", "code"), [(200, 0), (503, 1)])
async def test_the_releases_test_fails_unless_everything_answers_well(ready: int, code: int) -> None:
    async def answer(request: Request) -> Response:
        return Response(status_code=ready if request.url.path == "/readyz" else 200)

    container_ = container(only("Pod", render(SQLITE))["spec"])
    async with serving(Starlette(routes=[Route("/{path:path}", answer)])) as served:
        urls = [re.sub(r"//[^/]+", f"//127.0.0.1:{served.port}", url) for url in container_["args"][1:]]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *container_["command"][1:],
            container_["args"][0],
            *urls,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

        assert await process.wait() == code


EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", (CHART / "README.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.partition(":")[0] for each in EXAMPLES])
def test_every_example_of_the_readme_is_accepted(example: str) -> None:
    assert kinds(render(POSTGRES | values_from_yaml(example))) >= {"Deployment", "Service"}


@pytest.mark.parametrize("shape", sorted(shapes()))
def test_the_notes_name_the_objects_of_the_release(shape: str) -> None:
    manifests = render(shapes()[shape])

    said = notes(shapes()[shape])

    deployments = [each["metadata"]["name"] for each in every("Deployment", manifests)]
    named = re.findall(r"rollout status deployment/(\S+)", said)
    assert named == deployments
    assert "helm test relay --namespace media" in said
    assert f"http://{service(manifests)['metadata']['name']}.media.svc:" in said
    assert "canary" not in said
    assert "<no value>" not in said


def test_the_notes_say_how_to_make_every_secret_and_how_to_read_the_receivers() -> None:
    said = notes(POSTGRES)

    for name in (*CREDENTIALS, "RELAY_DATABASE__URL"):
        assert f"--from-literal={name}=" in said
    assert "secret)" in said
    assert "get secret relay -o jsonpath='{.data.RELAY_SIGNING_SECRETS}'" in said
    assert "get secret relay -o jsonpath='{.data.RELAY_API_TOKENS}'" in said


def test_the_notes_of_a_named_client_read_its_own_secrets() -> None:
    secrets = {
        f"RELAY_CLIENTS__ACME__{name.removeprefix('RELAY_')}": text for name, text in CREDENTIALS.items()
    }

    said = notes({"secrets": secrets})

    assert "{.data.RELAY_CLIENTS__ACME__SIGNING_SECRETS}" in said
    assert "get secret relay-camb-relay -o" in said


@pytest.mark.parametrize(
    ("values", "url"),
    [
        (SQLITE, "http://127.0.0.1:8080"),
        (SQLITE | INGRESS, "http://relay.example.com"),
        (SQLITE | {"ingress": INGRESS["ingress"] | {"tlsSecret": "tls"}}, "https://relay.example.com"),
        (SQLITE | {"ingress": INGRESS["ingress"] | {"paths": ["/openapi.json"]}}, "http://127.0.0.1:8080"),
        (SQLITE | {"httpRoute": ROUTE["httpRoute"] | {"hostnames": ["r.example"]}}, "https://r.example"),
    ],
)
def test_the_notes_call_the_api_where_it_is_reached(values: Manifest, url: str) -> None:
    said = notes(values)

    assert f"curl {url}/v1/registrations" in said
    assert ("port-forward service/relay-camb-relay 8080:80" in said) == ("127.0.0.1" in url)


def test_the_notes_say_where_data_and_schema_are() -> None:
    own = {"database": {"kind": "postgres"}, "secrets": CREDENTIALS | {"RELAY_DATABASE__URL": DATABASE_URL}}

    assert "volume claim relay-camb-relay, also after `helm uninstall`" in notes(SQLITE)
    assert "volume claim" not in notes(POSTGRES)
    assert "the schema is up to date already" in notes(POSTGRES)
    assert "by the first replica" in notes(SQLITE | {"database": {"kind": "postgres", "migration": "start"}})
    assert "name an `existingSecret`" in notes(own)


def test_the_notes_say_that_traces_take_a_rule() -> None:
    tracing = {"config": {"tracing": {"endpoint": "http://collector.tracing.svc:4318"}}}
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tracing"}}}

    assert "networkPolicy.tracing.namespaces" in notes(SQLITE | tracing)
    for opened in (
        {"tracing": {"namespaces": ["tracing"]}},
        {"tracing": {"to": [peer]}},
        {"extraEgress": [{"to": [peer]}]},
        {"enabled": False},
    ):
        assert "networkPolicy.tracing" not in notes(SQLITE | tracing | {"networkPolicy": opened})
