"""What holds of every chain."""

from collections.abc import Sequence

from relay.domain.chain import Step, What

FINAL = {What.AVAILABLE, What.DELIVERED, What.DEAD, What.CANCELLED}


def hold(steps: Sequence[Step]) -> None:
    assert steps[0].what is What.REGISTERED
    moments = [step.at for step in steps if step.at is not None]
    assert moments == sorted(moments)
    assert [step.what in FINAL or step.planned for step in steps] == [False] * (len(steps) - 1) + [True]
    for place, step in enumerate(steps):
        assert step.because is not None or step.rule is not None
        assert step.because is None or 0 <= step.because < place
        assert step.detail
        assert not step.detail.endswith(".")
        assert "None" not in step.detail
