"""What a file is that is not what its name says: an archive, a page, text, or a binary file that was taken for text.

Told by its content alone. First bytes are those that the formats' specifications give; what a conversion of text does
to a file shows all over it. A shard of weights may begin with any bytes, so that only a file is asked about here of
which it is known that it cannot be read as what it should be.
"""

import re
from typing import NamedTuple

HEAD = 512  # bytes that tell one format from another; a tar's mark lies at byte 257
SAMPLE = 1 << 20  # bytes in which a conversion shows


class Kind(NamedTuple):
    """What a file is, as the rest of a sentence after "is", and what to do about it; "" for what its cause says."""

    what: str
    hint: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is text without any mark."""
        return self.what.startswith(_TEXT)

    @property
    def is_packed(self) -> bool:
        """Whether a file of the right kind may be inside of it."""
        return self.hint in (_UNPACK, _ZIP_HINT)


_UNPACK = "unpack it where it lies, so that the file has its own name, and delete the archive"
_DOWNLOAD = "download the file itself, which may need a login or another link"
_BINARY = "copy the file again as binary: in FTP's binary mode, or with `-text` for it in .gitattributes"
_LOST = "copy the file again, from where it was not opened as text; its bytes are lost in this one"

_TEXT = "text that begins with the words"

_ARCHIVES = (
    (b"\x1f\x8b\x08", "a file that is compressed with gzip"),
    (b"BZh", "a file that is compressed with bzip2"),
    (b"\xfd7zXZ\0", "a file that is compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "a file that is compressed with Zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
)
_ZIP_HINT = "unpack it where it lies if a TensorFlow checkpoint is in it, else move it out of the zoo"
_ZIP = Kind("a zip archive, such as PyTorch and Keras write", _ZIP_HINT)
_OTHERS = (
    (b"\x89HDF", "an HDF5 file, such as Keras writes"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\0\5\x16\7", "an AppleDouble file, in which macOS keeps attributes of another one"),
    (b"\0\5\x16\0", "an AppleSingle file, which macOS packs"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]", re.DOTALL)
_TAR = (257, b"ustar")
_DVC = re.compile(rb"(?:md5: \S+\s+)?(?:frozen: \w+\s+)?(?:deps|outs):\s+- ")
_PAGE = re.compile(rb"<(!doctype\s+html|html|head|body|script|!--)", re.IGNORECASE)
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_REPLACED = "\N{REPLACEMENT CHARACTER}".encode()
FEW = 4  # times in which a trace of a conversion is no chance
_SHORTEST_TEXT = 9  # bytes, of "Not Found"; a few binary numbers may look like fewer
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def foreign(head: bytes) -> Kind | None:
    """The format of a file of another kind, by its first HEAD bytes, or None where they tell none.

    The first bytes of a pickle or of a gzip stream may be any binary file's: ask where it should be something else.
    """
    for mark, what in _ARCHIVES:
        if head.startswith(mark):
            return Kind(what, _UNPACK)
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return _ZIP
    if head[_TAR[0] :].startswith(_TAR[1]):
        return Kind("a tar archive", _UNPACK)
    if _PICKLE.match(head):
        return Kind("a Python pickle, such as PyTorch writes")
    return next((Kind(what) for mark, what in _OTHERS if head.startswith(mark)), None) or _page(head)


def _page(head: bytes) -> Kind | None:
    text = head.removeprefix(_UTF8_MARK).lstrip()
    if _PAGE.match(text):
        return Kind("an HTML page, such as one that asks for a login or tells of an error", _DOWNLOAD)
    if text.startswith(b"<?xml"):
        return Kind("an XML document, such as a server's answer that tells of an error", _DOWNLOAD)
    if _DVC.match(text):
        return Kind("a DVC pointer", "run `dvc pull` in the repository that it comes from")
    if re.match(rb'[\[{]\s*["{\[]', text) and is_text(text):
        return Kind("JSON text, such as a server's answer that tells of an error", _DOWNLOAD)
    return None


def marked_text(head: bytes) -> Kind | None:
    """The encoding of a text that begins with a byte order mark, or None."""
    if head.startswith(_UTF8_MARK):
        return Kind("text that begins with a byte order mark", "save it as UTF-8 without a byte order mark")
    if not head.startswith(_UTF16_MARKS):
        return None
    if _CONTROL.search(head.decode("utf-16", "replace").encode("utf-8", "replace")):
        return Kind("a binary file that was written as UTF-16 text, as PowerShell's `>` does", _BINARY)
    return Kind("text in UTF-16, as PowerShell's `>` writes it", "save it as UTF-8 without a byte order mark")


def is_text(head: bytes) -> bool:
    """Whether bytes, which may end within a character, are UTF-8 text without control characters."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
    return bool(head) and not _CONTROL.search(head)


def converted(sample: bytes, few: int = FEW) -> Kind | None:
    """What a conversion of text has done to a binary file, by the traces that it left in `sample`, or None.

    A text without control characters is none: all that is said of it is that it is text.
    Args:
      few: how many line ends are enough, where the file is known to have grown.
    """
    if sample.count(_REPLACED) >= FEW:
        return Kind("a binary file that was read as UTF-8 text: U+FFFD stands where its bytes were", _LOST)
    if not _CONTROL.search(sample):
        return None
    lines = sample.count(b"\n")
    if lines >= few and lines == sample.count(b"\r\n"):
        return Kind(
            "a binary file whose line ends were converted: each line feed has a carriage return before it", _BINARY
        )
    return _encoded_twice(sample)


def _encoded_twice(sample: bytes) -> Kind | None:
    """Bytes above 127 of a binary file are hardly ever UTF-8, unless each was written as a character."""
    try:
        text = sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3:
            return None
        text = sample[: error.start].decode("utf-8")
    # Where bytes are numbers, a 63 is no more frequent than a 62 and a 64.
    if text.isascii() and text.count("?") >= max(FEW, 3 * (text.count(">") + text.count("@"))):
        return Kind("a binary file that was saved as ASCII text, with a question mark for each byte above 127", _LOST)
    if sum(not character.isascii() for character in text) < 2 * FEW or not _in_one_byte(text):
        return None
    return Kind("a binary file that was written as UTF-8 text, in which each byte above 127 is two", _BINARY)


def _in_one_byte(text: str) -> bool:
    """Whether each character was one byte, in Latin-1 or as Windows has it."""
    return all(ord(character) < 256 or character.encode("cp1252", "ignore") for character in text)


def other(sample: bytes) -> Kind | None:
    """What a file is that cannot be read as what it should be, by its first SAMPLE bytes, or None."""
    return foreign(sample[:HEAD]) or marked_text(sample) or converted(sample) or _plain(sample)


def _plain(sample: bytes) -> Kind | None:
    line = sample.strip()[:HEAD].splitlines()[:1]
    if not line or len(sample) < _SHORTEST_TEXT or not is_text(sample):
        return None
    return Kind(f"{_TEXT} {line[0][:40].decode('utf-8', 'ignore')!r}", _DOWNLOAD)
