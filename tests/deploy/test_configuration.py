"""What a pod is given, read by the relay's own settings."""

import base64
from pathlib import Path
from typing import get_args

import pytest
from helm_python import HelmRenderError
from pydantic import BaseModel, SecretStr

from relay.settings import ClientSettings, Settings, load_settings
from relay.settings.names import KeyPath, settings_in
from tests.deploy import dockerfile
from tests.deploy.chart import Manifest, container, environment, only, render, shapes

CREDENTIALS = {
    "RELAY_API_TOKENS": "a-token-of-some-length",
    "RELAY_CAMB_API_KEY": "a-camb-key",
    "RELAY_SIGNING_SECRETS": "whsec_" + base64.b64encode(b"a signing secret of some length").decode(),
}
DATABASE_URL = "postgresql://relay:password@db.example/relay"
THE_CHARTS_OWN = {
    ("server", "port"),
    ("server", "operations_port"),
    ("server", "drain"),
    ("database", "url"),
    ("database", "migrate_at_start"),
}


def mounted(folder: Path, secrets: dict[str, str]) -> None:
    """A Secret volume's layout: each key a link into a hidden folder that is itself a link."""
    kept = folder / "..2026_11_23"
    kept.mkdir()
    (folder / "..data").symlink_to(kept.name)
    for name, text in secrets.items():
        (kept / name).write_text(text)
        (folder / name).symlink_to(Path("..data") / name)


def variables(pod: Manifest, config_map: dict[str, str]) -> dict[str, str]:
    """The image's variables, the ConfigMap's over them, and the container's own over both."""
    own = {entry["name"]: entry.get("value", DATABASE_URL) for entry in container(pod)["env"]}
    return dockerfile.environment() | (config_map if "envFrom" in container(pod) else {}) | own


def served(values: Manifest, secrets_dir: Path) -> Settings:
    """The settings of the release's server, its Secret mounted at `secrets_dir`."""
    manifests = render(values)
    pod = only("Deployment", manifests)["spec"]["template"]["spec"]
    mounted(secrets_dir, values.get("secrets", CREDENTIALS))
    return load_settings(
        config=None,
        secrets_dir=secrets_dir,
        environ=variables(pod, environment(manifests)),
        cwd=secrets_dir,
    )


@pytest.mark.parametrize("shape", sorted(shapes()))
def test_every_shape_can_serve(shape: str, tmp_path: Path) -> None:
    settings = served(shapes()[shape], tmp_path)

    assert settings.missing_for_serving() == ()
    assert settings.server.host == "0.0.0.0"  # noqa: S104 - a pod is reached from outside


def test_a_sqlite_pod_opens_the_file_on_its_volume(tmp_path: Path) -> None:
    settings = served({"existingSecret": "relay"}, tmp_path)

    assert settings.database.file == Path("/data/relay.db")


def test_a_postgres_pod_opens_the_database_its_secret_names(tmp_path: Path) -> None:
    values = {"existingSecret": "relay", "database": {"kind": "postgres", "migration": "start"}}

    settings = served(values, tmp_path)

    assert settings.database.url.get_secret_value() == DATABASE_URL
    assert settings.database.migrate_at_start is True


def test_ports_and_drain_are_what_the_pod_says_they_are(tmp_path: Path) -> None:
    values = {"existingSecret": "relay", "operationsPort": 9090, "shutdown": {"drainSeconds": 30}}

    settings = served(values, tmp_path)

    serving = container(only("Deployment", render(values))["spec"]["template"]["spec"])
    assert {port["name"]: port["containerPort"] for port in serving["ports"]} == {
        "http": settings.server.port,
        "operations": settings.server.operations_port,
    }
    assert settings.server.drain.total_seconds() == 30


def test_the_migration_is_content_with_the_database_alone(tmp_path: Path) -> None:
    values = {
        "existingSecret": "relay",
        "database": {"kind": "postgres"},
        "config": {"database": {"pool_size": 3}},
    }
    job = only("Job", render(values))["spec"]["template"]["spec"]

    settings = load_settings(config=None, secrets_dir=None, environ=variables(job, {}), cwd=tmp_path)

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


@pytest.mark.parametrize("path", sorted({path for path, _ in settings_in(Settings)} - THE_CHARTS_OWN))
def test_every_other_setting_may_stand_in_config(path: KeyPath) -> None:
    config: Manifest = {path[-1]: "text"} if len(path) == 1 else {path[0]: {path[1]: "text"}}

    found = environment(render({"existingSecret": "relay", "config": config}))

    assert found["RELAY_" + "__".join(path).upper()] == "text"


def types_in(annotation: object) -> set[object]:
    """Those of a table's settings among them."""
    inner = list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner += [field.annotation for field in annotation.model_fields.values()]
    return {annotation}.union(*map(types_in, inner))


SECRETS = {
    key for key, field in ClientSettings.model_fields.items() if SecretStr in types_in(field.annotation)
}


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_a_clients_secrets_are_refused_in_config(key: str) -> None:
    with pytest.raises(HelmRenderError, match="is a secret and a ConfigMap is not"):
        render({"existingSecret": "relay", "config": {"clients": {"acme": {key: "text"}}}})


@pytest.mark.parametrize("key", sorted(ClientSettings.model_fields.keys() - SECRETS))
def test_a_clients_other_settings_may_stand_in_config(key: str) -> None:
    found = environment(render({"existingSecret": "relay", "config": {"clients": {"acme": {key: "text"}}}}))

    assert found[f"RELAY_CLIENTS__ACME__{key.upper()}"] == "text"
