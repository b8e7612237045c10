"""Text from data, made harmless to look at: what cannot be seen is written out."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # they shape letters and emoji, and hide nothing


def visible(text: str, *, lines: bool = False) -> str:
    r"""Write out control characters, escapes, lone surrogates and direction overrides, and leave the rest.

    Args:
        text: whatever the data or the user gave: a name, a path, a caption.
        lines: keep line breaks as they are (for text that is known to have lines).

    Example:
        >>> visible("plain, Grüße, 日本")
        'plain, Grüße, 日本'
        >>> print(visible("a\x1b[31mred\u202efdp"))
        a\x1b[31mred\u202efdp
        >>> print(visible("two\nlines"))
        two\nlines
    """
    if text.isprintable():
        return text
    return "".join(c if _harmless(c, lines) else c.encode("unicode_escape").decode("ascii") for c in text)


def _harmless(char: str, lines: bool) -> bool:
    return (
        char.isprintable() or char in _JOINERS or (lines and char == "\n") or unicodedata.category(char) == "Zs"
    )  # Zs: the wide spaces of other scripts
