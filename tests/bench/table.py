"""What is measured, as rows of one table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row. `ratio` is of this run; `most` or `least` is what was promised of it."""

    name: str
    measured: str
    against: str = ""
    ratio: float | None = None
    most: float | None = None
    least: float | None = None

    @property
    def target(self) -> str:
        if self.most is not None:
            return f"at most {self.most:g}"
        return "" if self.least is None else f"at least {self.least:g}"

    @property
    def verdict(self) -> str:
        if self.ratio is None or (self.most is None and self.least is None):
            return ""
        met = self.ratio <= self.most if self.most is not None else self.ratio >= (self.least or 0)
        return "met" if met else "MISSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The figures of one module, and what a reader must know about how they were come by."""

    figures: Sequence[Figure]
    notes: Sequence[str] = ()


def show(parts: Sequence[Part], seconds: float) -> None:
    console = Console(width=150)
    table = Table(caption=f"measured in {seconds:.0f} s", caption_justify="left")
    for heading in ("figure", "measured", "against", "ratio", "target", ""):
        table.add_column(heading, justify="right" if heading == "ratio" else "left", overflow="fold")
    for part in parts:
        for figure in part.figures:
            ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
            table.add_row(figure.name, figure.measured, figure.against, ratio, figure.target, figure.verdict)
        table.add_section()
    console.print(table)
    for part in parts:
        for note in part.notes:
            console.print(f"- {note}", markup=False, highlight=False)


def spread(samples: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """The median, and in brackets the least and the most."""
    middle, low, high = (scale * each for each in (statistics.median(samples), min(samples), max(samples)))
    return f"{middle:.3g} {unit} ({low:.3g} to {high:.3g})"
