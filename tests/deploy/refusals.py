"""Values that the schema lets pass and the templates refuse, each with the words of the refusal."""

from collections.abc import Iterator

from tests.deploy.chart import ACME, CREDENTIALS, POSTGRES, SPLIT, SQLITE, Manifest

BACKLOG = {"kind": "backlog", "backlog": {"prometheus": "http://prometheus:9090"}}
WIDE = {"ipBlock": {"cidr": "169.254.0.0/16"}}

WRONG_TOGETHER: list[tuple[Manifest, str]] = [
    ({}, "^.*existingSecret: the relay has no credential"),
    (SQLITE | {"secrets": CREDENTIALS}, "both set"),
    ({"secrets": CREDENTIALS, "database": {"kind": "postgres"}}, "RELAY_DATABASE__URL is missing"),
    ({"secrets": CREDENTIALS | {"RELAY_DATABASE__URL": "x"}}, "needs database.kind postgres"),
    (SQLITE | {"replicas": 2}, "replicas: a SQLite file has one writer"),
    (SQLITE | {"autoscaling": {"kind": "cpu"}}, "autoscaling.kind: cpu wants more replicas"),
    (SQLITE | {"autoscaling": BACKLOG}, "autoscaling.kind: backlog wants more replicas"),
    (SQLITE | {"split": {"enabled": True}}, "split.enabled: a SQLite file has one process"),
    (
        POSTGRES | {"split": {"api": {"replicas": 2}}},
        "split.api: is not read while split.enabled is false",
    ),
    (
        POSTGRES | {"terminationGracePeriodSeconds": 25},
        r"must exceed shutdown\.preStopSeconds \+ shutdown\.drainSeconds, which is 25",
    ),
    (POSTGRES | {"shutdown": {"drainSeconds": 40}}, "which is 45"),
    (POSTGRES | {"shutdown": {"preStopSeconds": 20}}, "which is 40"),
    (
        SQLITE | {"shutdown": {"drainSeconds": 5}},
        "shutdown.drainSeconds: 5 is below RELAY_CAMB__DEADLINE, PT10S, and the relay would not start",
    ),
    (
        SQLITE | {"shutdown": {"drainSeconds": 14}},
        "14 is below RELAY_DELIVERY__DEADLINE, PT15S.*lower config.delivery.deadline",
    ),
    (SQLITE | {"config": {"delivery": {"deadline": "PT20.5S"}}}, "20 is below RELAY_DELIVERY__DEADLINE"),
    (
        SQLITE | {"config": {"camb": {"deadline": "PT1M"}}},
        "20 is below RELAY_CAMB__DEADLINE, PT1M.*config.camb.deadline",
    ),
    (
        SQLITE | {"extraEnv": [{"name": "RELAY_CAMB__DEADLINE", "value": "PT0H1M30S"}]},
        "20 is below RELAY_CAMB__DEADLINE, PT0H1M30S",
    ),
    (
        POSTGRES | {"autoscaling": {"kind": "cpu", "minReplicas": 4, "maxReplicas": 3}},
        "minReplicas 4 is above maxReplicas 3",
    ),
    (
        POSTGRES | {"autoscaling": {"kind": "cpu", "cpuPercent": None}},
        "autoscaling.cpuPercent: kind cpu needs",
    ),
    (
        POSTGRES | {"autoscaling": {"kind": "cpu"}, "resources": {"requests": {"cpu": None}}},
        "resources.requests.cpu: autoscaling.cpuPercent is a share of it",
    ),
    (POSTGRES | {"autoscaling": {"kind": "backlog"}}, "autoscaling.backlog.prometheus: KEDA reads"),
    (
        POSTGRES | {"autoscaling": {"kind": "backlog", "backlog": {"perReplica": None}}},
        "autoscaling.backlog.perReplica: say for how many",
    ),
    (
        SPLIT | {"autoscaling": BACKLOG},
        "split.api.autoscaling.kind: the API's pods do not work off the backlog",
    ),
    (POSTGRES | {"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable: 0 allows no disruption"),
    (
        POSTGRES | {"podDisruptionBudget": {"maxUnavailable": "0%"}},
        "maxUnavailable: 0 allows no disruption",
    ),
    (
        POSTGRES | {"podDisruptionBudget": {"minAvailable": 3}},
        "minAvailable: 3 of 3 pods allows no disruption",
    ),
    (
        POSTGRES | {"podDisruptionBudget": {"minAvailable": "90%"}},
        "minAvailable: 90% of 3 pods allows no disruption",
    ),
    (
        POSTGRES | {"podDisruptionBudget": {"minAvailable": 2}, "autoscaling": {"kind": "cpu"}},
        "minAvailable: 2 of 2 pods allows no disruption",
    ),
    (
        SPLIT | {"split": {"enabled": True, "worker": {"podDisruptionBudget": {"minAvailable": 3}}}},
        r"split\.worker\.podDisruptionBudget\.minAvailable: 3 of 3",
    ),
    (
        POSTGRES | {"podDisruptionBudget": {"maxUnavailable": None}},
        "says neither maxUnavailable nor minAvailable",
    ),
    (
        SQLITE | {"podDisruptionBudget": {"minAvailable": 1}},
        "minAvailable: 1 of 1 pods allows no disruption",
    ),
    (POSTGRES | {"ingress": {"enabled": True}}, "ingress.hosts: name at least one"),
    (
        POSTGRES | {"ingress": {"enabled": True, "hosts": ["a.example"], "paths": []}},
        "ingress.paths: the Ingress leads nowhere",
    ),
    (POSTGRES | {"httpRoute": {"enabled": True}}, "httpRoute.parentRefs: name the Gateway"),
    (
        POSTGRES | {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "paths": []}},
        "httpRoute.paths: the route leads nowhere",
    ),
    (
        SQLITE | {"callbacks": {"inCluster": {"namespaces": ["shop"]}}},
        "callbacks.inCluster.serviceCIDR: the relay's guard needs it",
    ),
    (
        SQLITE | {"callbacks": {"inCluster": {"serviceCIDR": "10.96.0.0/12", "ports": [80]}}},
        "callbacks.inCluster: the NetworkPolicy needs to know",
    ),
    (
        SQLITE
        | {"callbacks": {"inCluster": {"http": True}}, "config": {"callbacks": {"allow_http": "never"}}},
        "never contradicts callbacks.inCluster.http",
    ),
    (
        SQLITE | {"networkPolicy": {"dns": {"to": [WIDE]}}},
        r"networkPolicy.dns.to: 169\.254\.0\.0/16 contains",
    ),
    (
        POSTGRES | {"networkPolicy": {"database": {"to": [{"ipBlock": {"cidr": "fd00:ec2:0::/48"}}]}}},
        "networkPolicy.database.to: fd00:ec2:0::/48 contains fd00:ec2::254/128",
    ),
    (
        SQLITE | {"networkPolicy": {"tracing": {"to": [WIDE]}}},
        r"networkPolicy.tracing.to: 169\.254\.0\.0/16 contains",
    ),
    (
        POSTGRES | {"networkPolicy": {"extraEgress": [{"ports": [{"port": 4318}]}]}},
        r"networkPolicy.extraEgress\[0\].to: a rule without it leads anywhere",
    ),
    (
        POSTGRES | {"networkPolicy": {"extraEgress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}},
        r"networkPolicy.extraEgress\[0\].to: 0\.0\.0\.0/0 contains 169\.254\.169\.254/32",
    ),
    (
        SQLITE | {"extraEnv": [{"name": "RELAY_API_TOKENS", "value": "x"}]},
        r"extraEnv\[0\]: RELAY_API_TOKENS is a secret",
    ),
    (
        SQLITE | {"extraEnv": [{"name": "A", "value": "1"}, {"name": "DSN", "value": "db://u:p@host"}]},
        r"extraEnv\[1\]: DSN is a secret",
    ),
    (
        SQLITE | {"extraEnv": [{"name": "RELAY_ROLE", "value": "api"}]},
        "RELAY_ROLE is set by split.enabled",
    ),
    (SQLITE | {"extraEnv": [{"name": "RELAY_SECRETS_DIR", "value": "/x"}]}, "is set by secretsAs"),
    (
        SQLITE | {"monitoring": {"serviceMonitor": {"interval": "1m", "scrapeTimeout": "61s"}}},
        "monitoring.serviceMonitor.scrapeTimeout: 61s is longer than the interval, 1m",
    ),
]

MISTYPED_VARIABLES: list[tuple[Manifest, str]] = [
    ({"secrets": {"RELAY_API_TOKEN": "x"}}, "RELAY_API_TOKEN"),
    ({"secrets": {"RELAY_CLIENTS__ACME__SIGNING_SECRET": "x"}}, "RELAY_CLIENTS__ACME__SIGNING_SECRET"),
    ({"secrets": {"RELAY_CLIENTS__ACME_CAMB_API_KEY": "x"}}, "RELAY_CLIENTS__ACME_CAMB_API_KEY"),
    ({"secrets": {"RELAY_CLIENTS__Acme__CAMB_API_KEY": "x"}}, "RELAY_CLIENTS__Acme__CAMB_API_KEY"),
    ({"secrets": {"RELAY_ROLE": "api"}}, "RELAY_ROLE"),
    ({"extraEnv": [{"name": "RELAY_CAMB__DEADLIN", "value": "x"}]}, "extraEnv"),
    ({"extraEnv": [{"name": "RELAY_CAMB_DEADLINE", "value": "x"}]}, "extraEnv"),
    ({"extraEnv": [{"name": "RELAY_relay", "value": "x"}]}, "extraEnv"),
]
"""Names of ours that no setting has, or that only the chart itself sets: the schema refuses them by the word beside."""

SECRET_SETTINGS: list[Manifest] = [
    {"api_tokens": "x"},
    {"camb_api_key": "x"},
    {"signing_secrets": ["x"]},
    {"operator": {"api_tokens": ["x"]}},
    {"clients": {"acme": {"callback_headers": [{"origin": "https://a.example", "value": "x"}]}}},
    {"clients": {"acme": {"default_kind": "whsec_Y2FuYXJ5"}}},
    {"clients": {"acme": {"default_kind": "Bearer x"}}},
    {"camb": {"base_url": "https://user:password@camb.example"}},
]

OWNED_SETTINGS: list[tuple[Manifest, str]] = [
    ({"role": "worker"}, "split.enabled"),
    ({"server": {"port": 8000}}, "service.port"),
    ({"server": {"operations_port": 9090}}, "operationsPort"),
    ({"server": {"drain": "PT1M"}}, "shutdown.drainSeconds"),
    ({"database": {"url": "postgresql://relay"}}, "database.urlSecret"),
    ({"database": {"migrate_at_start": True}}, "database.migration"),
]


def refusals() -> Iterator[tuple[Manifest, str]]:
    """All of them, each with a pattern of what is said."""
    yield from WRONG_TOGETHER
    for missing in sorted(CREDENTIALS):
        yield {"secrets": {name: text for name, text in CREDENTIALS.items() if name != missing}}, missing
    for missing in sorted(ACME):
        yield (
            {"secrets": {name: text for name, text in ACME.items() if name != missing}},
            f"{missing} is missing",
        )
    for config in SECRET_SETTINGS:
        yield SQLITE | {"config": config}, "is a secret and a ConfigMap is not"
    for config, owner in OWNED_SETTINGS:
        yield SQLITE | {"config": config}, owner
