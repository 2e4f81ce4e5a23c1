import pytest

from relay.clock import Clock
from tests.deploy.checks import customs, guards, policy, renders, typos
from tests.deploy.checks.policy import Failed, Skip
from tests.deploy.checks.steps import Looking, passed

UNLIMITED = Failed(check="CKV_K8S_11", kind="Pod", says="CPU limits should be set", where="full, Pod.relay")
EXCUSED = Skip(check="CKV_K8S_11", kind="Pod", reason="a limit throttles")


def _well() -> Looking:
    yield from ()
    return "3 objects"


def _wrong() -> Looking:
    yield "the first is wrong"
    yield "so is the second"
    return "2 objects"


def _still() -> Clock:
    return Clock(lambda: 0, lambda: 0)


def test_a_step_says_what_it_looked_at_and_how_long_it_took() -> None:
    said: list[str] = []

    assert passed({"schemas": _well}, _still(), said.append)

    assert said == ["schemas: 3 objects (0.0 s)"]


def test_the_first_thing_that_is_wrong_is_the_last_that_is_said() -> None:
    said: list[str] = []

    assert not passed({"schemas": _wrong}, _still(), said.append)

    assert said == ["schemas: WRONG: the first is wrong"]


@pytest.mark.parametrize(
    ("failed", "skips", "wrong"),
    [
        ([UNLIMITED], [EXCUSED], []),
        ([UNLIMITED], [], ["full, Pod.relay: CKV_K8S_11: CPU limits should be set"]),
        ([], [EXCUSED], ["CKV_K8S_11 is left out for each Pod, and none fails it: take it off the list"]),
    ],
)
def test_policy_leaves_out_what_it_must_and_nothing_else(
    failed: list[Failed], skips: list[Skip], wrong: list[str]
) -> None:
    assert list(policy.against(failed, skips)) == wrong


def test_a_template_that_no_shape_renders_is_named() -> None:
    assert next(renders.covered([])) == "templates/autoscaling.yaml: no values in helm/ci render it"


def test_every_refusal_of_a_template_is_read_as_what_it_says() -> None:
    template = '{{- fail "a.b: no." }}{{ fail (printf "%s.c: %d is \\"much\\"." $where 3) }}'

    assert list(guards.guards(template)) == [r"a\.b:\ no\.", r'.+\.c:\ .+\ is\ "much"\.']
    assert guards.unread(template) == 0


@pytest.mark.parametrize(
    "template", ["{{ fail $words }}", '{{ required "name it" .Values.a }}', '{{ "no" | fail }}']
)
def test_a_refusal_in_words_that_cannot_be_read_is_noticed(template: str) -> None:
    assert guards.unread(template) == 1


def test_a_key_is_mistyped_at_every_place_whose_keys_are_known() -> None:
    closed = {"type": "object", "additionalProperties": False}
    schema = closed | {
        "properties": {
            "image": closed | {"properties": {"tag": {"type": "string"}}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "hosts": {"type": "array", "items": {"$ref": "#/definitions/host"}},
            "clients": {"type": "object", "additionalProperties": closed},
        }
    }

    found = list(typos.places(schema, {"host": closed}))

    assert found == [(), ("image",), ("hosts", 0), ("clients", "acme")]
    assert typos.mistyped(dict(zip(found, "abcd", strict=True))) == {
        "a": 1,
        "image": {"b": 1},
        "hosts": [{"c": 1}],
        "clients": {"acme": {"d": 1}},
    }


def test_each_key_that_a_definition_must_know_is_misspelt_and_no_free_one_is() -> None:
    manifest = {
        "kind": "ScaledObject",
        "metadata": {"labels": {"team": "media"}},
        "spec": {"triggers": [{"type": "cpu", "metadata": {"value": "70"}}]},
    }

    keys = list(customs.known(manifest))

    assert [".".join(map(str, each)) for each in keys] == [
        "kind",
        "metadata",
        "metadata.labels",
        "spec",
        "spec.triggers",
        "spec.triggers.0.type",
        "spec.triggers.0.metadata",
    ]
    assert customs.misspelt(manifest, keys[-1])["spec"]["triggers"][0]["metadatax"] == {"value": "70"}
