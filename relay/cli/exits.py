"""What the exit codes mean; the numbers are those of BSD's sysexits."""

from typing import Final

FAILED: Final = 1
"""The command did its work, and the answer is no."""
UNAVAILABLE: Final = 69
"""The database does not answer, is another process's, or holds a schema that does not fit; or a library is missing."""
CONFIGURATION: Final = 78
"""The configuration is wrong or incomplete."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells have it; and a signal that asks again while the first is being answered."""
