"""Names of files: which no result can be named after, which look alike, and how they are printed."""

import os
import unicodedata

# A file name may have 255 bytes; some of them are left for what programs add while they write.
MAX_NAME_BYTES = 251


def name_fault(name: str, added_bytes: int = 0) -> str:
    """Why no result can be named after `name`, and the fix; "" if one can. `added_bytes`: what the result's adds."""
    try:
        length = len(name.encode()) + added_bytes
    except UnicodeEncodeError:
        return "its name is not UTF-8. Rename it; letters, digits, - and _ are safe."
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        return "a control character, such as a line break, in its name. Rename it; letters, digits, - and _ are safe."
    if length <= MAX_NAME_BYTES:
        return ""
    return f"its name is too long: the result's name would have {length} bytes, more than {MAX_NAME_BYTES}. Shorten it."


def comparable(name: str) -> str:
    """The same text for names that differ only in upper and lower case or in Unicode normalization (NFC, NFD)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def alike(name: str, other: str) -> str:
    """How two names differ that are the same for `comparable`."""
    if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other):
        return f"looks like {printable(other)}; accented letters are encoded differently (Unicode NFC and NFD)."
    return f"differs from {printable(other)} only in upper and lower case."


def printable(path: str | os.PathLike[str]) -> str:
    """The path as one line that a terminal can show: control characters and bytes that are not UTF-8 are escaped."""
    return "".join(character if character.isprintable() else _escaped(character) for character in os.fspath(path))


def _escaped(character: str) -> str:
    code = ord(character)
    # A byte that is not UTF-8 is a surrogate in Python's names of files.
    is_byte = 0xDC80 <= code <= 0xDCFF
    return f"\\x{code - 0xDC00:02x}" if is_byte else character.encode("unicode_escape", "surrogatepass").decode()
