"""What a release consists of, in each of the chart's shapes."""

import re
from collections.abc import Iterator

import pytest
from helm_python import Chart, lint, values_from_yaml

from relay import __version__
from tests.deploy.chart import (
    CHART,
    CREDENTIALS,
    DATABASE_URL,
    KUBERNETES,
    POSTGRES,
    SPLIT,
    SQLITE,
    Manifest,
    component,
    container,
    environment,
    every,
    kinds,
    objects,
    only,
    pods,
    render,
    rendered,
    server,
    servers,
    service,
    shapes,
    validate,
    variable,
)

OWN_SECRETS: Manifest = {
    "database": {"kind": "postgres"},
    "secrets": CREDENTIALS | {"RELAY_DATABASE__URL": DATABASE_URL},
}


@pytest.fixture(params=sorted(shapes()))
def shape(request: pytest.FixtureRequest) -> Manifest:
    return shapes()[request.param]


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_fits_the_strict_schema_of_each_kubernetes(shape: Manifest, version: str) -> None:
    for manifest in render(shape):
        validate(manifest, version)


def test_every_shape_passes_the_strict_lint(shape: Manifest) -> None:
    report = lint(CHART, shape, strict=True)

    assert report["errors"] == []


def test_two_renders_are_equal(shape: Manifest) -> None:
    assert rendered(shape) == rendered(shape)


def test_no_two_objects_have_one_name(shape: Manifest) -> None:
    named = [(each["kind"], each["metadata"]["name"]) for each in render(shape)]

    assert len(set(named)) == len(named)


@pytest.mark.parametrize(("release", "namespace"), [("on", "n"), ("no", "123"), ("r" * 53, "true")])
def test_names_that_yaml_would_read_as_something_else_stay_names(release: str, namespace: str) -> None:
    for manifest in render(SPLIT, release=release, namespace=namespace):
        assert manifest["metadata"]["namespace"] == namespace
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == release
        assert len(manifest["metadata"]["name"]) <= 63
        validate(manifest, "1.35")


def test_the_chart_runs_the_version_it_is_released_with() -> None:
    with Chart.load(CHART) as chart:
        metadata = chart.metadata

    image = container(server(render(SQLITE)))["image"]
    assert metadata["appVersion"] == metadata["version"] == __version__
    assert image == f"camb-relay:{__version__}"
    assert f"image: {image}\n" in metadata["annotations"]["artifacthub.io/images"]


def test_a_digest_wins_over_a_tag() -> None:
    digest = "sha256:" + "0" * 64
    image = {"repository": "registry.example/relay", "tag": "1.2.3"}

    tagged = render(POSTGRES | {"image": image})
    pinned = render(POSTGRES | {"image": image | {"digest": digest}})

    assert {container(pod)["image"] for pod in pods(tagged)} == {"registry.example/relay:1.2.3"}
    assert {container(pod)["image"] for pod in pods(pinned)} == {f"registry.example/relay@{digest}"}


def test_sqlite_has_one_replica_that_ends_before_the_next_begins() -> None:
    deployment = only("Deployment", render(SQLITE))["spec"]

    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}


def test_sqlite_keeps_its_file_on_a_claim_that_outlives_the_release() -> None:
    manifests = render(SQLITE)

    claim = only("PersistentVolumeClaim", manifests)
    pod = server(manifests)
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "data"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert {"name": "data", "mountPath": "/data"} in container(pod)["volumeMounts"]
    assert environment(manifests)["RELAY_DATABASE__URL"] == "sqlite:////data/relay.db"


def test_an_existing_claim_is_used_and_none_is_made() -> None:
    manifests = render(SQLITE | {"persistence": {"existingClaim": "kept"}})

    assert {"name": "data", "persistentVolumeClaim": {"claimName": "kept"}} in server(manifests)["volumes"]
    assert "PersistentVolumeClaim" not in kinds(manifests)


def test_a_driver_may_keep_every_second_pod_from_the_file() -> None:
    manifests = render(SQLITE | {"persistence": {"accessMode": "ReadWriteOncePod"}})

    assert only("PersistentVolumeClaim", manifests)["spec"]["accessModes"] == ["ReadWriteOncePod"]


@pytest.mark.parametrize("values", [POSTGRES, SPLIT])
def test_postgres_replaces_its_replicas_without_a_gap(values: Manifest) -> None:
    manifests = render(values)

    for deployment in every("Deployment", manifests):
        assert deployment["spec"]["replicas"] == 3
        assert deployment["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }
    assert "PersistentVolumeClaim" not in kinds(manifests)


def test_postgres_is_reached_by_a_url_that_must_be_there() -> None:
    """A default would be a SQLite file, and a pod that starts on one loses what it accepts."""
    manifests = render(SPLIT)

    for pod in [*servers(manifests), *pods(every("Job", manifests))]:
        url = variable(pod, "RELAY_DATABASE__URL")
        assert url["valueFrom"] == {"secretKeyRef": {"name": "relay", "key": "RELAY_DATABASE__URL"}}


def test_the_database_may_have_a_secret_of_its_own() -> None:
    database = {"kind": "postgres", "urlSecret": {"name": "relay-db", "key": "uri"}}

    manifests = render(SQLITE | {"database": database})

    for pod in [server(manifests), *pods(every("Job", manifests))]:
        url = variable(pod, "RELAY_DATABASE__URL")
        assert url["valueFrom"] == {"secretKeyRef": {"name": "relay-db", "key": "uri"}}


def test_postgres_is_migrated_before_the_release_changes() -> None:
    job = only("Job", render(POSTGRES))

    annotations = job["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    assert container(job["spec"]["template"]["spec"])["args"] == ["migrate"]


def test_a_migration_gives_up_in_time() -> None:
    database = {"kind": "postgres", "migrationDeadlineSeconds": 90}

    job = only("Job", render(SQLITE | {"database": database}))["spec"]

    assert job["activeDeadlineSeconds"] == 90
    assert job["backoffLimit"] == 3


def test_the_migration_needs_nothing_that_its_release_has_yet_to_create() -> None:
    manifests = render(OWN_SECRETS)
    hooks = [
        each
        for each in manifests
        if each["metadata"].get("annotations", {}).get("helm.sh/hook", "").startswith("pre-")
    ]

    secret, job = sorted(hooks, key=lambda hook: int(hook["metadata"]["annotations"]["helm.sh/hook-weight"]))

    pod = job["spec"]["template"]["spec"]
    [url] = container(pod)["env"]
    assert url["valueFrom"]["secretKeyRef"]["name"] == secret["metadata"]["name"]
    assert secret["stringData"] == {"RELAY_DATABASE__URL": DATABASE_URL}
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert "serviceAccountName" not in pod
    assert "envFrom" not in container(pod)


def test_a_replica_may_migrate_as_it_starts_instead() -> None:
    manifests = render(SQLITE | {"database": {"kind": "postgres", "migration": "start"}})

    assert "Job" not in kinds(manifests)
    assert environment(manifests)["RELAY_DATABASE__MIGRATE_AT_START"] == "true"


def test_secrets_are_in_secret_objects_and_nowhere_else() -> None:
    for manifest in render(OWN_SECRETS):
        spoken = any(text in repr(manifest) for text in [*CREDENTIALS.values(), DATABASE_URL])

        assert spoken == (manifest["kind"] == "Secret")


def test_no_shape_speaks_its_secrets_outside_of_secret_objects(shape: Manifest) -> None:
    for manifest in render(shape):
        if manifest["kind"] != "Secret":
            assert "canary" not in repr(manifest)
            assert "whsec_" not in repr(manifest)


@pytest.mark.parametrize("values", [SQLITE, POSTGRES, SPLIT])
def test_the_named_secret_is_mounted_as_files(values: Manifest) -> None:
    for pod in servers(render(values)):
        directory = variable(pod, "RELAY_SECRETS_DIR")["value"]
        [mount] = [each for each in container(pod)["volumeMounts"] if each["name"] == "secrets"]
        [volume] = [each["secret"] for each in pod["volumes"] if each["name"] == "secrets"]

        assert (mount["mountPath"], mount["readOnly"]) == (directory, True)
        assert volume == {"secretName": "relay", "defaultMode": 0o440}


def test_the_named_secret_may_become_variables_that_win_over_none_of_the_charts() -> None:
    pod = server(render(SQLITE | {"secretsAs": "environment"}))

    assert container(pod)["envFrom"] == [
        {"secretRef": {"name": "relay"}},
        {"configMapRef": {"name": "relay-camb-relay"}},
    ]
    assert "RELAY_SECRETS_DIR" not in {entry["name"] for entry in container(pod)["env"]}
    assert "secrets" not in {volume["name"] for volume in pod["volumes"]}


def test_settings_become_variables() -> None:
    config = {
        "camb": {"answer_bytes": 1_048_576, "rate_per_second": 0.5, "concurrency": None},
        "delivery": {"retry_schedule": ["PT5S", "PT5M"]},
        "callbacks": {"allow_networks": []},
        "clients": {"acme": {"default_kind": "dub"}},
    }

    variables = environment(render(SQLITE | {"config": config}))

    assert variables == {
        "RELAY_CAMB__ANSWER_BYTES": "1048576",
        "RELAY_CAMB__RATE_PER_SECOND": "0.5",
        "RELAY_DELIVERY__RETRY_SCHEDULE": "PT5S,PT5M",
        "RELAY_CALLBACKS__ALLOW_NETWORKS": "",
        "RELAY_CLIENTS__ACME__DEFAULT_KIND": "dub",
        "RELAY_DATABASE__URL": "sqlite:////data/relay.db",
        "RELAY_SERVER__DRAIN": "PT20S",
        "RELAY_SERVER__OPERATIONS_PORT": "9090",
        "RELAY_SERVER__PORT": "8080",
    }


@pytest.mark.parametrize(
    ("one", "other", "checksum"),
    [
        (SQLITE, SQLITE | {"config": {"polling": {"min_pace": "PT3S"}}}, "checksum/config"),
        (
            OWN_SECRETS,
            OWN_SECRETS | {"secrets": {**OWN_SECRETS["secrets"], "RELAY_API_TOKENS": "rotated"}},
            "checksum/secret",
        ),
    ],
)
def test_a_changed_setting_or_secret_restarts_the_pods(one: Manifest, other: Manifest, checksum: str) -> None:
    before, after = (
        only("Deployment", render(values))["spec"]["template"]["metadata"]["annotations"]
        for values in (one, other)
    )

    assert {name for name in before if before[name] != after[name]} == {checksum}


def test_every_pod_fits_the_restricted_pod_security_standard(shape: Manifest) -> None:
    for pod in pods(render(shape)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in [*pod["containers"], *pod.get("initContainers", [])]:
            assert each["securityContext"]["allowPrivilegeEscalation"] is False
            assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all(
            volume.keys() & {"secret", "configMap", "emptyDir", "persistentVolumeClaim"}
            for volume in pod["volumes"]
        )


def test_every_pod_is_kept_from_its_root_its_api_and_its_neighbours_names(shape: Manifest) -> None:
    for pod in pods(render(shape)):
        assert container(pod)["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


def test_a_platform_may_choose_the_user() -> None:
    nobody = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}

    for pod in pods(render(SQLITE | {"podSecurityContext": nobody})):
        assert not nobody.keys() & pod["securityContext"].keys()
        assert pod["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("values", [SQLITE, SPLIT])
def test_probes_ask_where_health_is_served(values: Manifest) -> None:
    for pod in servers(render(values)):
        serving = container(pod)

        asked = {
            probe: serving[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        assert asked == {
            "startupProbe": {"path": "/livez", "port": "operations"},
            "livenessProbe": {"path": "/livez", "port": "operations"},
            "readinessProbe": {"path": "/readyz", "port": "operations"},
        }
        assert {"name": "operations", "containerPort": 9090, "protocol": "TCP"} in serving["ports"]


def test_a_probes_timings_can_be_changed_and_its_question_cannot() -> None:
    probe = container(server(render(SQLITE | {"startupProbe": {"failureThreshold": 900}})))["startupProbe"]

    assert probe["httpGet"] == {"path": "/livez", "port": "operations"}
    assert (probe["failureThreshold"], probe["periodSeconds"]) == (900, 2)


def test_a_pod_waits_for_its_endpoints_and_then_drains_within_its_grace_period(shape: Manifest) -> None:
    manifests = render(shape)

    [drain] = re.findall(r"^PT(\d+)S$", environment(manifests)["RELAY_SERVER__DRAIN"])
    for pod in servers(manifests):
        wait = container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] > wait + int(drain)


def _labelled(manifest: Manifest) -> Iterator[dict[str, str]]:
    yield manifest["metadata"]["labels"]
    if manifest["kind"] in {"Deployment", "Job"}:
        yield manifest["spec"]["template"]["metadata"]["labels"]


def test_common_labels_are_on_every_object_and_pod_and_replace_none_of_the_charts() -> None:
    common = {"example.com/team": "media", "app.kubernetes.io/instance": "stolen"}

    for manifest in render(OWN_SECRETS | {"commonLabels": common}):
        for labels in _labelled(manifest):
            assert labels["example.com/team"] == "media"
            assert labels["app.kubernetes.io/instance"] == "relay"


def test_pod_labels_cannot_take_a_pod_from_its_deployment() -> None:
    labels = {"app.kubernetes.io/component": "other", "camb-relay/operations": "false", "team": "media"}

    deployment = only("Deployment", render(SQLITE | {"podLabels": labels}))["spec"]

    found = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= found.items()
    assert (found["camb-relay/operations"], found["team"]) == ("true", "media")


def test_a_split_release_serves_with_some_pods_and_works_with_others() -> None:
    manifests = render(SPLIT)

    roles = {
        each["metadata"]["name"]: variable(each["spec"]["template"]["spec"], "RELAY_ROLE")["value"]
        for each in every("Deployment", manifests)
    }
    assert roles == {"relay-camb-relay-api": "api", "relay-camb-relay-worker": "worker"}
    assert variable(server(render(POSTGRES)), "RELAY_ROLE")["value"] == "all"


@pytest.mark.parametrize(("values", "serving"), [(SQLITE, "server"), (POSTGRES, "server"), (SPLIT, "api")])
def test_the_service_leads_to_the_pods_that_serve_the_api(values: Manifest, serving: str) -> None:
    manifests = render(values)

    selector = service(manifests)["spec"]["selector"]
    reached = [
        manifest["metadata"]["labels"]["app.kubernetes.io/component"]
        for manifest in manifests
        for labels in _labelled(manifest)
        if manifest["kind"] in {"Deployment", "Job", "Pod"} and selector.items() <= labels.items()
    ]
    assert set(reached) == {serving}
    target = container(pods([component("Deployment", serving, manifests)])[0])
    assert {"name": "http", "containerPort": 8080, "protocol": "TCP"} in target["ports"]


def test_a_worker_has_no_port_for_the_api() -> None:
    [worker] = pods([component("Deployment", "worker", render(SPLIT))])

    assert [port["name"] for port in container(worker)["ports"]] == ["operations"]


@pytest.mark.parametrize("values", [SQLITE, POSTGRES, SPLIT])
def test_health_and_metrics_of_every_serving_pod_are_reached_apart_from_the_api(values: Manifest) -> None:
    manifests = render(values)

    operations = component("Service", "operations", manifests)["spec"]
    reached = {
        manifest["kind"]
        for manifest in manifests
        for labels in _labelled(manifest)
        if manifest["kind"] in {"Deployment", "Job", "Pod"}
        and operations["selector"].items() <= labels.items()
    }
    assert reached == {"Deployment"}
    assert (operations["clusterIP"], operations["publishNotReadyAddresses"]) == ("None", True)
    assert [port["name"] for port in service(manifests)["spec"]["ports"]] == ["http"]


def test_what_is_said_of_one_part_holds_for_it_alone() -> None:
    own = {
        "replicas": 0,
        "resources": {"requests": {"cpu": "2"}},
        "podLabels": {"tier": "back"},
        "nodeSelector": {"pool": "spot"},
        "priorityClassName": "low",
    }

    manifests = render(SPLIT | {"split": {"enabled": True, "worker": own}, "nodeSelector": {"pool": "fixed"}})

    api, worker = (component("Deployment", name, manifests)["spec"] for name in ("api", "worker"))
    assert (api["replicas"], worker["replicas"]) == (3, 0)
    assert worker["template"]["metadata"]["labels"]["tier"] == "back"
    assert "tier" not in api["template"]["metadata"]["labels"]
    assert container(worker["template"]["spec"])["resources"] == {"requests": {"cpu": "2"}}
    assert worker["template"]["spec"]["nodeSelector"] == {"pool": "spot"}
    assert api["template"]["spec"]["nodeSelector"] == {"pool": "fixed"}
    assert worker["template"]["spec"]["priorityClassName"] == "low"


def test_what_the_connection_to_the_database_needs_the_migration_has_too() -> None:
    needed: Manifest = {
        "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "company-ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
        "initContainers": [{"name": "proxy", "image": "proxy:1", "args": ["{{ .Release.Name }}"]}],
    }

    manifests = render(POSTGRES | needed)

    for pod in [server(manifests), *pods(every("Job", manifests))]:
        assert variable(pod, "SSL_CERT_FILE")["value"] == "/ca/ca.crt"
        assert needed["extraVolumes"][0] in pod["volumes"]
        assert needed["extraVolumeMounts"][0] in container(pod)["volumeMounts"]
        assert [each["args"] for each in pod["initContainers"]] == [["relay"]]


def test_more_objects_come_with_the_release_their_templates_filled_in() -> None:
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}}
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Namespace }}-text"

    made = render(SQLITE | {"extraObjects": [extra, text]})

    names = {each["metadata"]["name"] for each in every("ConfigMap", made)}
    assert names == {"relay-camb-relay", "relay-extra", "media-text"}


def test_the_service_is_reached_from_outside_as_it_is_told() -> None:
    outside = {
        "type": "LoadBalancer",
        "port": 443,
        "nodePort": 30_443,
        "loadBalancerClass": "example.com/internal",
        "loadBalancerSourceRanges": ["198.51.100.0/24"],
        "externalTrafficPolicy": "Local",
    }

    spec = service(render(SQLITE | {"service": outside}))["spec"]

    [port] = spec.pop("ports")
    assert (port["port"], port["nodePort"]) == (443, 30_443)
    del outside["port"], outside["nodePort"]
    assert outside.items() <= spec.items()


def test_the_chart_carries_no_state_between_renders() -> None:
    """Sprig's merge writes into its first argument: the values of the next Deployment, if it is theirs."""
    values = SPLIT | {"podLabels": {"team": "media"}, "split": {"enabled": True, "api": {"podLabels": {}}}}

    manifests = objects(rendered(values))

    api, worker = (component("Deployment", name, manifests) for name in ("api", "worker"))
    assert "team" not in api["spec"]["template"]["metadata"]["labels"]
    assert worker["spec"]["template"]["metadata"]["labels"]["team"] == "media"


@pytest.mark.parametrize("section", ["Install", "Upgrade"])
def test_helm_is_told_to_wait_for_as_long_as_a_migration_may_take(section: str) -> None:
    words = (CHART / "README.md").read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    longest = values_from_yaml((CHART / "values.yaml").read_text())["database"]["migrationDeadlineSeconds"]

    told = [60 * int(minutes) for minutes in re.findall(r"--timeout (\d+)m", words)]

    assert told
    assert min(told) > longest
