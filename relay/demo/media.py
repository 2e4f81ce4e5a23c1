"""The shortest sound files that a player will open."""

import wave
from io import BytesIO
from typing import Final

_SAMPLE_RATE: Final = 8_000
_SAMPLES: Final = 800
_BLOCK: Final = 4_096


def silent_wav() -> bytes:
    """A tenth of a second of silence."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(_SAMPLE_RATE)
        sound.writeframes(b"\x80" * _SAMPLES)
    return file.getvalue()


def empty_flac() -> bytes:
    """A stream of no samples: the marker and its one obligatory block, STREAMINFO (RFC 9639, section 8.2)."""
    mono_of_8_bits = 0 << 41 | 7 << 36
    info = (
        _BLOCK.to_bytes(2, "big") * 2
        + bytes(6)  # frame sizes unknown
        + (_SAMPLE_RATE << 44 | mono_of_8_bits).to_bytes(8, "big")
        + bytes(16)  # digest not computed
    )
    return b"fLaC\x80" + len(info).to_bytes(3, "big") + info
