"""Under which headings a help lists the commands."""

from typing import Final

DAILY: Final = "Daily work with a relay"
SERVING: Final = "Run a relay"
TRYING: Final = "Try it out"
