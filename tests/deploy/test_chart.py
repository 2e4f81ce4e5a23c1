"""What a release consists of, in each of the chart's shapes."""

import re

import kubernetes_validate
import pytest
from helm_python import Chart, lint

from relay import __version__
from tests.deploy.chart import CHART, Manifest, container, environment, notes, only, pods, render, shapes

KUBERNETES = ("1.30", "1.32", "1.35", "1.37")
SQLITE: Manifest = {"existingSecret": "relay"}
POSTGRES: Manifest = {"existingSecret": "relay", "database": {"kind": "postgres"}, "replicas": 3}
CREDENTIALS = {
    "RELAY_API_TOKENS": "canary-token",
    "RELAY_CAMB_API_KEY": "canary-key",
    "RELAY_SIGNING_SECRETS": "whsec_Y2FuYXJ5",
    "RELAY_DATABASE__URL": "postgresql://relay:canary-password@db/relay",
}


@pytest.fixture(params=sorted(shapes()))
def shape(request: pytest.FixtureRequest) -> Manifest:
    return shapes()[request.param]


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_fits_the_strict_schema_of_each_kubernetes(shape: Manifest, version: str) -> None:
    for manifest in render(shape):
        assert kubernetes_validate.validate(manifest, version, strict=True) == version


def test_every_shape_passes_the_strict_lint(shape: Manifest) -> None:
    report = lint(CHART, shape, strict=True)

    assert report["errors"] == []


def test_two_renders_are_equal(shape: Manifest) -> None:
    assert render(shape) == render(shape)


@pytest.mark.parametrize(("release", "namespace"), [("on", "n"), ("no", "123"), ("r" * 53, "true")])
def test_names_that_yaml_would_read_as_something_else_stay_names(release: str, namespace: str) -> None:
    for manifest in render(POSTGRES, release=release, namespace=namespace):
        assert manifest["metadata"]["namespace"] == namespace
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == release
        assert len(manifest["metadata"]["name"]) <= 63
        kubernetes_validate.validate(manifest, "1.35", strict=True)


def test_the_chart_runs_the_version_it_is_released_with() -> None:
    with Chart.load(CHART) as chart:
        metadata = chart.metadata

    image = container(*pods(render(SQLITE)))["image"]

    assert metadata["appVersion"] == metadata["version"] == __version__
    assert image == f"camb-relay:{__version__}"


def test_a_digest_wins_over_a_tag() -> None:
    digest = "sha256:" + "0" * 64
    image = {"repository": "registry.example/relay", "tag": "1.2.3"}

    tagged = render(SQLITE | {"image": image})
    pinned = render(SQLITE | {"image": image | {"digest": digest}})

    assert container(*pods(tagged))["image"] == "registry.example/relay:1.2.3"
    assert container(*pods(pinned))["image"] == f"registry.example/relay@{digest}"


def test_sqlite_has_one_replica_that_ends_before_the_next_begins() -> None:
    deployment = only("Deployment", render(SQLITE))["spec"]

    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}


def test_sqlite_keeps_its_file_on_a_claim_that_outlives_the_release() -> None:
    manifests = render(SQLITE)

    claim = only("PersistentVolumeClaim", manifests)
    [pod] = pods(manifests)
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "data"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert {"name": "data", "mountPath": "/data"} in container(pod)["volumeMounts"]
    assert environment(manifests)["RELAY_DATABASE__URL"] == "sqlite:////data/relay.db"


def test_an_existing_claim_is_used_and_none_is_made() -> None:
    manifests = render(SQLITE | {"persistence": {"existingClaim": "kept"}})

    [pod] = pods(manifests)
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "kept"}} in pod["volumes"]
    assert "PersistentVolumeClaim" not in {manifest["kind"] for manifest in manifests}


def test_postgres_replaces_its_replicas_without_a_gap() -> None:
    manifests = render(POSTGRES)

    deployment = only("Deployment", manifests)["spec"]
    assert deployment["replicas"] == 3
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "PersistentVolumeClaim" not in {manifest["kind"] for manifest in manifests}


def test_postgres_is_reached_by_a_url_that_must_be_there() -> None:
    """A default would be a SQLite file, and a pod that starts on one loses what it accepts."""
    for pod in pods(render(POSTGRES)):
        [variable] = [entry for entry in container(pod)["env"] if entry["name"] == "RELAY_DATABASE__URL"]

        assert variable["valueFrom"] == {"secretKeyRef": {"name": "relay", "key": "RELAY_DATABASE__URL"}}


def test_the_database_may_have_a_secret_of_its_own() -> None:
    database = {"kind": "postgres", "urlSecret": {"name": "relay-db", "key": "uri"}}

    for pod in pods(render(SQLITE | {"database": database})):
        [variable] = [entry for entry in container(pod)["env"] if entry["name"] == "RELAY_DATABASE__URL"]

        assert variable["valueFrom"] == {"secretKeyRef": {"name": "relay-db", "key": "uri"}}


def test_postgres_is_migrated_before_the_release_changes() -> None:
    job = only("Job", render(POSTGRES))

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert container(job["spec"]["template"]["spec"])["args"] == ["migrate"]


def test_the_migration_needs_nothing_that_its_release_has_yet_to_create() -> None:
    manifests = render({"database": {"kind": "postgres"}, "secrets": CREDENTIALS})
    hooks = [each for each in manifests if "helm.sh/hook" in each["metadata"].get("annotations", {})]

    secret, job = sorted(hooks, key=lambda hook: int(hook["metadata"]["annotations"]["helm.sh/hook-weight"]))
    pod = job["spec"]["template"]["spec"]
    [variable] = container(pod)["env"]
    assert variable["valueFrom"]["secretKeyRef"]["name"] == secret["metadata"]["name"]
    assert secret["stringData"] == {"RELAY_DATABASE__URL": CREDENTIALS["RELAY_DATABASE__URL"]}
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert "serviceAccountName" not in pod
    assert "envFrom" not in container(pod)


def test_a_replica_may_migrate_as_it_starts_instead() -> None:
    manifests = render(SQLITE | {"database": {"kind": "postgres", "migration": "start"}})

    assert "Job" not in {manifest["kind"] for manifest in manifests}
    assert environment(manifests)["RELAY_DATABASE__MIGRATE_AT_START"] == "true"


def test_the_migration_gets_no_requests_from_the_service() -> None:
    manifests = render(POSTGRES)

    selector = only("Service", manifests)["spec"]["selector"]
    served = only("Deployment", manifests)["spec"]["template"]["metadata"]["labels"]
    migrating = only("Job", manifests)["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= served.items()
    assert not selector.items() <= migrating.items()


def test_secrets_are_in_secret_objects_and_nowhere_else() -> None:
    for manifest in render({"database": {"kind": "postgres"}, "secrets": CREDENTIALS}):
        spoken = any(text in repr(manifest) for text in CREDENTIALS.values())

        assert spoken == (manifest["kind"] == "Secret")


@pytest.mark.parametrize("values", [SQLITE, POSTGRES])
def test_the_named_secret_is_mounted_as_files(values: Manifest) -> None:
    pod = only("Deployment", render(values))["spec"]["template"]["spec"]

    [directory] = [each["value"] for each in container(pod)["env"] if each["name"] == "RELAY_SECRETS_DIR"]
    [mount] = [each for each in container(pod)["volumeMounts"] if each["name"] == "secrets"]
    [volume] = [each["secret"] for each in pod["volumes"] if each["name"] == "secrets"]
    assert (mount["mountPath"], mount["readOnly"]) == (directory, True)
    assert volume == {"secretName": "relay", "defaultMode": 0o440}


def test_settings_become_variables() -> None:
    config = {
        "role": "worker",
        "camb": {"answer_bytes": 1_048_576, "rate_per_second": 0.5, "concurrency": None},
        "delivery": {"retry_schedule": ["PT5S", "PT5M"]},
        "callbacks": {"allow_networks": []},
        "clients": {"acme": {"default_kind": "dub"}},
        "imaginary": {"flag": True},
    }

    variables = environment(render(SQLITE | {"config": config}))

    assert variables == {
        "RELAY_ROLE": "worker",
        "RELAY_CAMB__ANSWER_BYTES": "1048576",
        "RELAY_CAMB__RATE_PER_SECOND": "0.5",
        "RELAY_DELIVERY__RETRY_SCHEDULE": "PT5S,PT5M",
        "RELAY_CALLBACKS__ALLOW_NETWORKS": "",
        "RELAY_CLIENTS__ACME__DEFAULT_KIND": "dub",
        "RELAY_IMAGINARY__FLAG": "true",
        "RELAY_DATABASE__URL": "sqlite:////data/relay.db",
        "RELAY_SERVER__DRAIN": "PT20S",
        "RELAY_SERVER__PORT": "8080",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SQLITE, SQLITE | {"config": {"polling": {"min": "PT3S"}}}),
        ({"secrets": CREDENTIALS} | {"database": {"kind": "postgres"}},
         {"secrets": CREDENTIALS | {"RELAY_API_TOKENS": "rotated"}, "database": {"kind": "postgres"}}),
    ],
)  # fmt: skip
def test_a_changed_setting_or_secret_restarts_the_pods(one: Manifest, other: Manifest) -> None:
    before, after = (
        only("Deployment", render(values))["spec"]["template"]["metadata"]["annotations"]
        for values in (one, other)
    )

    assert before != after


def test_every_pod_fits_the_restricted_pod_security_standard(shape: Manifest) -> None:
    for pod in pods(render(shape)):
        context = container(pod)["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all(
            volume.keys() & {"secret", "emptyDir", "persistentVolumeClaim"} for volume in pod["volumes"]
        )


def test_every_pod_is_kept_from_its_root_its_api_and_its_neighbours_names(shape: Manifest) -> None:
    for pod in pods(render(shape)):
        assert container(pod)["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


def test_a_platform_may_choose_the_user() -> None:
    [pod] = pods(
        render(SQLITE | {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}})
    )

    assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod["securityContext"].keys()
    assert pod["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize(("port", "name"), [(None, "http"), (9090, "operations")])
def test_probes_ask_where_health_is_served(port: int | None, name: str) -> None:
    serving = container(*pods(render(SQLITE | {"operationsPort": port})))

    asked = {
        probe: serving[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert asked == {
        "startupProbe": {"path": "/livez", "port": name},
        "livenessProbe": {"path": "/livez", "port": name},
        "readinessProbe": {"path": "/readyz", "port": name},
    }
    assert name in {each["name"] for each in serving["ports"]}


def test_a_pod_waits_for_its_endpoints_and_then_drains_within_its_grace_period(shape: Manifest) -> None:
    manifests = render(shape)

    pod = only("Deployment", manifests)["spec"]["template"]["spec"]
    wait = container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
    [drain] = re.findall(r"^PT(\d+)S$", environment(manifests)["RELAY_SERVER__DRAIN"])
    assert pod["terminationGracePeriodSeconds"] > wait + int(drain)


def test_the_ingress_reaches_the_api_and_neither_health_nor_metrics() -> None:
    manifests = render(SQLITE | {"ingress": {"enabled": True, "host": "relay.example.com"}})

    [rule] = only("Ingress", manifests)["spec"]["rules"]
    [path] = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == ("relay.example.com", "/v1", "Prefix")
    assert path["backend"]["service"]["name"] == only("Service", manifests)["metadata"]["name"]


def test_the_notes_name_the_objects_of_the_release() -> None:
    manifests = render(SQLITE)

    said = notes(SQLITE)

    assert f"deployment/{only('Deployment', manifests)['metadata']['name']}" in said
    assert f"service/{only('Service', manifests)['metadata']['name']} 8080:80" in said
    assert "get secret relay -o" in said
