import pytest

from relay.domain.errors import (
    BrokenRule,
    Conflict,
    DatabaseUnavailable,
    FieldError,
    InvalidInput,
    NotFound,
    Overloaded,
    RelayError,
    RequestRefused,
    SchemaMismatch,
)


def test_invalid_input_names_every_field_and_the_rule_it_broke() -> None:
    errors = (
        FieldError(field="task_id", rule="must not be empty"),
        FieldError(field="items.3.kind", rule="must be known"),
    )

    refused = InvalidInput(*errors)

    assert refused.errors == errors
    assert str(refused) == "task_id: must not be empty; items.3.kind: must be known"


def test_a_conflict_names_what_stands_in_the_way_and_the_fields_that_differ() -> None:
    conflict = Conflict("other options", existing="reg_1", fields=("metadata",))

    assert (str(conflict), conflict.existing, conflict.fields) == ("other options", "reg_1", ("metadata",))


def test_a_conflict_of_states_names_no_other_registration() -> None:
    conflict = Conflict("it was delivered")

    assert (conflict.existing, conflict.fields) == (None, ())


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (InvalidInput, RequestRefused),
        (NotFound, RequestRefused),
        (Conflict, RequestRefused),
        (Overloaded, RequestRefused),
        (SchemaMismatch, DatabaseUnavailable),
        (RequestRefused, RelayError),
        (DatabaseUnavailable, RelayError),
        (BrokenRule, RelayError),
    ],
)
def test_an_error_belongs_to_the_family_of_whose_fault_it_is(
    error: type[RelayError], family: type[RelayError]
) -> None:
    assert issubclass(error, family)


def test_a_fault_of_ours_is_never_taken_for_the_callers_or_the_databases() -> None:
    assert not issubclass(BrokenRule, (RequestRefused, DatabaseUnavailable))
    assert not issubclass(DatabaseUnavailable, RequestRefused)
