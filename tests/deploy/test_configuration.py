"""What a pod is given, read by the relay's own settings."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from helm_python import HelmRenderError
from pydantic import BaseModel, SecretStr
from pydantic_core import to_jsonable_python

from relay.settings import ClientSettings, ConfigurationError, Settings, load_settings
from relay.settings.names import KeyPath, Names, settings_in
from tests.deploy import dockerfile, settings_schema
from tests.deploy.chart import (
    POSTGRES,
    SPLIT,
    SQLITE,
    Manifest,
    container,
    environment,
    only,
    pods,
    render,
    server,
    servers,
    shapes,
)

CREDENTIALS = {
    "RELAY_API_TOKENS": "a-token-of-some-length",
    "RELAY_CAMB_API_KEY": "a-camb-key",
    "RELAY_SIGNING_SECRETS": "whsec_" + base64.b64encode(b"a signing secret of some length").decode(),
}
DATABASE_URL = "postgresql://relay:password@db.example/relay"
IN_CLUSTER = {"serviceCIDR": "10.96.0.0/12", "namespaces": ["shop"], "ports": [8080]}


def mounted(folder: Path, secrets: dict[str, str]) -> None:
    """A Secret volume's layout: each key a link into a hidden folder that is itself a link."""
    kept = folder / "..2026_11_23"
    kept.mkdir()
    (folder / "..data").symlink_to(kept.name)
    for name, text in secrets.items():
        (kept / name).write_text(text)
        (folder / name).symlink_to(Path("..data") / name)


def variables(pod: Manifest, config_map: dict[str, str], secrets: dict[str, str]) -> dict[str, str]:
    """The image's variables, over them what the container takes from Secret and ConfigMap, and its own over all."""
    given = dict(dockerfile.environment())
    for source in container(pod).get("envFrom", []):
        given |= secrets if "secretRef" in source else config_map
    clients = {
        "tokens": "a-token-of-a-shop",
        "camb": "a-key",
        "signing": CREDENTIALS["RELAY_SIGNING_SECRETS"],
    }
    for entry in container(pod)["env"]:
        key = entry.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
        given[entry["name"]] = entry.get("value", clients.get(key, DATABASE_URL))
    return given


def read_by(pod: Manifest, values: Manifest, secrets_dir: Path) -> Settings:
    """The settings of a pod that serves, its Secret mounted at `secrets_dir` if it is at all."""
    secrets = values.get("secrets", CREDENTIALS)
    mounts = {mount["name"] for mount in container(pod)["volumeMounts"]}
    secrets_dir.mkdir(exist_ok=True)
    if "secrets" in mounts and not any(secrets_dir.iterdir()):
        mounted(secrets_dir, secrets)
    return load_settings(
        config=None,
        secrets_dir=secrets_dir if "secrets" in mounts else None,
        environ=variables(pod, environment(render(values)), secrets) | {"RELAY_SECRETS_DIR": ""},
        cwd=secrets_dir,
    )


def served(values: Manifest, secrets_dir: Path) -> Settings:
    return read_by(server(render(values)), values, secrets_dir)


@pytest.mark.parametrize("shape", sorted(shapes()))
def test_every_pod_of_every_shape_can_serve(shape: str, tmp_path: Path) -> None:
    for pod in servers(render(shapes()[shape])):
        settings = read_by(pod, shapes()[shape], tmp_path / "secrets")

        assert settings.missing_for_serving() == ()
        assert settings.server.host in {"0.0.0.0", "::"}  # noqa: S104 - a pod is reached from outside


@pytest.mark.parametrize("secrets_as", ["files", "environment"])
def test_a_sqlite_pod_opens_the_file_on_its_volume_whatever_its_secret_says(
    secrets_as: str, tmp_path: Path
) -> None:
    values = SQLITE | {"secretsAs": secrets_as}
    stray = CREDENTIALS | {"RELAY_DATABASE__URL": DATABASE_URL}
    pod = server(render(values))
    if secrets_as == "files":
        mounted(tmp_path, stray)

    settings = load_settings(
        config=None,
        secrets_dir=tmp_path if secrets_as == "files" else None,
        environ=variables(pod, environment(render(values)), stray) | {"RELAY_SECRETS_DIR": ""},
        cwd=tmp_path,
    )

    assert settings.database.file == Path("/data/relay.db")


def test_a_postgres_pod_opens_the_database_its_secret_names(tmp_path: Path) -> None:
    values = {"existingSecret": "relay", "database": {"kind": "postgres", "migration": "start"}}

    settings = served(values, tmp_path)

    assert settings.database.url.get_secret_value() == DATABASE_URL
    assert settings.database.migrate_at_start is True


def test_a_split_release_has_a_role_for_each_of_its_deployments(tmp_path: Path) -> None:
    roles = [read_by(pod, SPLIT, tmp_path).role for pod in servers(render(SPLIT))]

    assert roles == ["api", "worker"]
    assert served(POSTGRES, tmp_path).role == "all"


def test_ports_and_drain_are_what_the_pod_says_they_are(tmp_path: Path) -> None:
    values = SQLITE | {"operationsPort": 9100, "shutdown": {"drainSeconds": 30}}

    settings = served(values, tmp_path)

    serving = container(server(render(values)))
    assert {port["name"]: port["containerPort"] for port in serving["ports"]} == {
        "http": settings.server.port,
        "operations": settings.server.operations_port,
    }
    assert settings.server.drain.total_seconds() == 30


@pytest.mark.parametrize(
    ("values", "networks", "allow_http"),
    [
        (SQLITE, (), "never"),
        (SQLITE | {"callbacks": {"inCluster": IN_CLUSTER}}, ("10.96.0.0/12",), "never"),
        (
            SQLITE | {"callbacks": {"inCluster": IN_CLUSTER | {"http": True}}},
            ("10.96.0.0/12",),
            "allowed-networks",
        ),
        (
            SQLITE
            | {
                "callbacks": {"inCluster": IN_CLUSTER | {"http": True}},
                "config": {"callbacks": {"allow_networks": ["192.0.2.0/24"], "allow_http": "always"}},
            },
            ("192.0.2.0/24", "10.96.0.0/12"),
            "always",
        ),
    ],
)
def test_the_guard_learns_of_the_clusters_services(
    values: Manifest, networks: tuple[str, ...], allow_http: str, tmp_path: Path
) -> None:
    settings = served(values, tmp_path)

    assert tuple(map(str, settings.callbacks.allow_networks)) == networks
    assert settings.callbacks.allow_http == allow_http


def test_the_migration_is_content_with_the_database_alone(tmp_path: Path) -> None:
    values = POSTGRES | {"config": {"database": {"pool_size": 3}}}
    [job] = pods([only("Job", render(values))])

    settings = load_settings(config=None, secrets_dir=None, environ=variables(job, {}, {}), cwd=tmp_path)

    assert settings.database.url.get_secret_value() == DATABASE_URL
    assert settings.database.pool_size == 3


def test_the_image_leaves_the_database_to_files_and_secrets(tmp_path: Path) -> None:
    """A variable of the image would win over both, and the relay would quietly use another database."""
    mounted(tmp_path, {"RELAY_DATABASE__URL": DATABASE_URL})

    settings = load_settings(
        config=None, secrets_dir=tmp_path, environ=dockerfile.environment(), cwd=tmp_path
    )

    assert settings.database.url.get_secret_value() == DATABASE_URL


def test_the_image_keeps_its_database_in_its_volume(tmp_path: Path) -> None:
    settings = load_settings(config=None, secrets_dir=None, environ=dockerfile.environment(), cwd=tmp_path)

    [start] = dockerfile.values(dockerfile.shipped(), "WORKDIR")
    assert settings.database.file is not None
    assert Path(start) / settings.database.file == Path("/data/relay.db")


def test_config_takes_the_settings_there_are() -> None:
    """Where it fails, `python -m tests.deploy.settings_schema` brings the schema up to date."""
    schema = json.loads(settings_schema.SCHEMA.read_text())

    assert schema["properties"]["config"] == settings_schema.config()
    assert schema["properties"]["secrets"]["propertyNames"] == settings_schema.secret_names()
    named = schema["properties"]["extraEnv"]["items"]["properties"]["name"]
    assert named.items() >= settings_schema.variable_names().items()


def left_to_the_guards(schema: object, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Where the schema takes anything; `*` stands for any client."""
    if schema is True:
        yield above
    elif isinstance(schema, dict):
        for key, inner in schema.get("properties", {}).items():
            yield from left_to_the_guards(inner, (*above, key))
        yield from left_to_the_guards(schema.get("additionalProperties"), (*above, "acme"))


def secret_settings() -> set[KeyPath]:
    fields = dict(settings_in(Settings))
    fields |= {("clients", "acme", key): field for key, field in ClientSettings.model_fields.items()}
    return {path for path, field in fields.items() if SecretStr in types_in(field.annotation)}


def types_in(annotation: object) -> set[object]:
    """Those of a table's settings among them."""
    inner = list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner += [field.annotation for field in annotation.model_fields.values()]
    return {annotation}.union(*map(types_in, inner))


LEFT = sorted(left_to_the_guards(settings_schema.config()))


@pytest.mark.parametrize("path", LEFT, ids=".".join)
def test_what_the_schema_leaves_to_the_guards_they_refuse(path: KeyPath) -> None:
    config: object = "text"
    for key in reversed(path):
        config = {key: config}

    with pytest.raises(HelmRenderError, match=r"is set by|is a secret and a ConfigMap is not"):
        render(SQLITE | {"config": config})


def test_every_secret_is_left_to_the_guards() -> None:
    assert secret_settings() < set(LEFT)


def everything() -> Manifest:
    """Every setting that may stand in config, at its default."""
    found: Manifest = {"clients": {"acme": {}}}
    for path, field in settings_in(Settings):
        if path not in LEFT:
            table = found if len(path) == 1 else found.setdefault(path[0], {})
            table[path[-1]] = to_jsonable_python(field.default)
    for key, field in ClientSettings.model_fields.items():
        if ("clients", "acme", key) not in LEFT:
            found["clients"]["acme"][key] = field.default
    return found


def test_every_default_passes_the_schema_and_comes_back_from_the_pod_as_it_was(tmp_path: Path) -> None:
    """Null leaves a setting out, and what is left out is the default."""
    plain = served(SQLITE, tmp_path / "plain")
    config = everything() | {"clients": {}}
    del config["server"]["host"]  # the image's own is another

    settings = served(SQLITE | {"config": config}, tmp_path / "spoken")

    assert settings == plain


def test_every_setting_becomes_a_variable_of_the_relay() -> None:
    config = everything()

    found = environment(render(SQLITE | {"config": config}))

    names = Names(Settings)
    said = {
        (table, *path)
        for table, rows in config.items()
        for path, value in flattened(rows)
        if value is not None
    }
    assert {names.path_of(name) for name in found} >= said


def flattened(value: object) -> list[tuple[KeyPath, object]]:
    if not isinstance(value, dict):
        return [((), value)]
    return [((key, *path), leaf) for key, inner in value.items() for path, leaf in flattened(inner)]


@pytest.mark.parametrize(
    ("values", "host"),
    [
        ({}, None),
        ({"service": {"ipFamilyPolicy": "SingleStack"}}, None),
        ({"service": {"ipFamilyPolicy": "PreferDualStack"}}, "::"),
        ({"service": {"ipFamilyPolicy": "RequireDualStack"}}, "::"),
        ({"config": {"server": {"host": "::"}}}, "::"),
        (
            {
                "service": {"ipFamilyPolicy": "RequireDualStack"},
                "config": {"server": {"host": "fd00::7"}},
            },
            "fd00::7",
        ),
    ],
)
def test_pods_listen_on_the_families_of_their_service(values: Manifest, host: str | None) -> None:
    """Where nothing is said the image says 0.0.0.0."""
    assert environment(render(SQLITE | values)).get("RELAY_SERVER__HOST") == host


@pytest.mark.parametrize(
    ("drain", "deadline", "in_camb"),
    [
        (15, None, None),
        (1, "PT1S", "PT0.5S"),
        (5, "PT5S", "PT5.0S"),
        (5, "PT5.001S", "PT5S"),
        (5, "PT5S", "PT6S"),
        (59, "PT1M", "PT1S"),
        (60, "PT1M", "PT1S"),
        (299, "PT5M", "PT1S"),
        (300, "PT4M59.5S", "PT5M"),
        (14, None, None),
        (9, "PT5S", None),
    ],
)
def test_the_chart_takes_a_drain_where_the_relay_does(
    drain: int, deadline: str | None, in_camb: str | None, tmp_path: Path
) -> None:
    """Against the settings' own rule, so that neither the deadlines' defaults nor their reading drift apart."""
    config = {"delivery": {"deadline": deadline}, "camb": {"deadline": in_camb}}
    values = SQLITE | {
        "shutdown": {"drainSeconds": drain},
        "terminationGracePeriodSeconds": 400,
        "config": config,
    }
    environ = {"RELAY_SERVER__DRAIN": f"PT{drain}S"}
    for table, text in (("DELIVERY", deadline), ("CAMB", in_camb)):
        if text is not None:
            environ[f"RELAY_{table}__DEADLINE"] = text
    try:
        load_settings(config=None, secrets_dir=None, environ=environ, cwd=tmp_path)
    except ConfigurationError:
        with pytest.raises(HelmRenderError, match="drainSeconds"):
            render(values)
    else:
        assert environment(render(values))["RELAY_SERVER__DRAIN"] == f"PT{drain}S"
