"""The Dockerfile as a list of instructions."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    text = (ROOT / "Dockerfile").read_text()
    spoken = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    lines = [line.split(maxsplit=1) for line in spoken.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, rest.strip()) for name, rest in lines]


def shipped() -> list[Instruction]:
    """The last stage."""
    everything = instructions()
    start = max(place for place, (name, _) in enumerate(everything) if name == "FROM")
    return everything[start:]


def values(stage: list[Instruction], name: str) -> list[str]:
    return [rest for each, rest in stage if each == name]


def environment() -> dict[str, str]:
    [assignments] = values(shipped(), "ENV")
    return dict(assignment.split("=", 1) for assignment in assignments.split())
