"""JSON as people read it: only the space between its words changes, never a word."""

import re
from typing import Final

LONGEST: Final = 32 * 1024

_WORD: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_DEEPEST: Final = 40
_STEP: Final = "  "


def indented(text: str) -> str:
    """As it came where it is no JSON object or array, or a long one."""
    if len(text) > LONGEST or not text.lstrip().startswith(("{", "[")):
        return text
    words = _WORD.findall(text)
    lines: list[str] = [""]
    depth = 0
    for place, word in enumerate(words):
        empty = place + 1 < len(words) and word in "{[" and words[place + 1] in "}]"
        if word in "{[":
            lines[-1] += word
            depth += 1
            if not empty:
                lines.append(_margin(depth))
        elif word in "}]":
            depth -= 1
            if words[place - 1] not in "{[":
                lines.append(_margin(depth))
            lines[-1] += word
        elif word == ",":
            lines[-1] += word
            lines.append(_margin(depth))
        else:
            lines[-1] += ": " if word == ":" else word
    return "\n".join(lines)


def _margin(depth: int) -> str:
    return _STEP * max(0, min(depth, _DEEPEST))
