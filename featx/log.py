"""What featx says by the way, and how foreign names stand in all that it writes for people."""

from __future__ import annotations

import codecs
import logging
import re

NOTE = 25
"""Level of a note: what featx took, where nothing is wrong. Commands show it on stderr unless they are quiet."""

logging.addLevelName(NOTE, "NOTE")


def note(logger: logging.Logger, message: str) -> None:
    """Log one line as a note."""
    logger.log(NOTE, "%s", message)


CONTROLS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: terminals act on them
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"  # direction and line ends: what follows is shown elsewhere
    "\u00ad\u180e\u200b\u2060-\u2065\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # without width: not seen at all
    "\udc80-\udc9f"  # bytes of a name that is not UTF-8: C1 where a terminal takes bytes for characters
    "]"
    # Scripts and pictograms need joiners; in ASCII they only hide.
    "|(?<![^\x00-\x7f])[\u200c\u200d]"
)
"""Characters that are not seen, but change what is."""


def escape_controls(text: str, kept: str = "") -> str:
    r"""Write characters that a terminal acts on, or that are not seen, as escapes such as `\x1b`.

    Parameters
    ----------
    text : str
        Names of files, classes, layers and tensors come from anybody.
    kept : str
        Characters that stay, such as the line ends of a text of several lines.

    Returns
    -------
    str
        One line, unless line ends are kept.
    """

    def escape(match: re.Match[str]) -> str:
        character = match[0]
        if character in kept:
            return character
        number = ord(character)
        return f"\\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDC9F else ascii(character)[1:-1]

    return CONTROLS.sub(escape, text)


ANY_NAME = "featx-any-name"
"""Name under which Python knows `escape_name`."""


def escape_name(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode what an encoding lacks: bytes of file names as they are, other characters as backslash escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error(ANY_NAME, escape_name)
