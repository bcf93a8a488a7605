"""Names: what `checkpoint` files call a checkpoint, and model ids made safe for paths, shells and wildcards.

A model is a directory below the zoo and the stem of a checkpoint prefix. Its id is a relative path in which each
component is percent-encoded where it must be, so that two models never share an id:

    directory     stem        id
    lenet         model.ckpt  lenet/model.ckpt
    (the zoo)     lenet       lenet
    a {b}/.old    (none)      a %7Bb%7D/%2Eold/%
    run           m-5         run/m%2D5          `m-5` is the id of step 5 of the stem `m`
    (the zoo)     20 times w  w...w%.            Snakemake takes no wildcard that ends in a repetition
"""

import hashlib
import os
import re
import unicodedata

from permafrost.layout import MADE_FILES

_LONGEST_COMPONENT = 200  # bytes; file systems allow 255, and temporary names need some of them
_LONGEST_ID = 1000  # bytes; PATH_MAX is 4096
_LONGEST_STEP = 40  # digits
# Besides what would be ambiguous: `{}` are wildcards to Snakemake, `<>` are its path variables, and quotes, backslashes
# and commas are lost on the command line with which it passes a job on to a cluster's node.
_ENCODED = "%{}<>/'\"\\,"
# These cannot arise from encoding, where two hex digits follow each `%`.
_CUT = "%="
_END = "%."
_REPEATED = 20  # times in which PeriodicityDetector in snakemake/io finds a wildcard to be periodic

_NAMED = re.compile(rb"""\b(all_)?model_checkpoint_paths?\s*:\s*("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""")
_ESCAPE = re.compile(rb"""\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|([abfnrtv"'?\\]))""")
_ESCAPED = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))
_V1_SHARD = re.compile(r"-[0-9?]{5}-of-[0-9]{5}$")

_STEP = re.compile(rf"(?P<stem>.*)-(?P<digits>[0-9]{{1,{_LONGEST_STEP}}})", re.DOTALL)


def split_step(prefix_name: str) -> tuple[str, int | None]:
    """The stem and the step of a prefix's base name: `model.ckpt-200` is ("model.ckpt", 200), `lenet` ("lenet", None).

    The step is `-<digits>` at the very end, as tf.train.Saver appends it, and nothing else.
    """
    match = _STEP.fullmatch(prefix_name)
    return (match["stem"], int(match["digits"])) if match else (prefix_name, None)


def model_id(directory: str, stem: str) -> str:
    """The id of the series `stem` in `directory`, which is relative to the zoo and '' at its root.

    Names are as os.scandir gives them (non-UTF-8 bytes as surrogates). The id is valid UTF-8 without control
    characters, braces, angle brackets, quotes, backslashes, commas, or components that are empty, hidden, or named like
    one of Permafrost's own files, and does not end in a repetition. Two different series never have the same id, up to
    collisions of a 128 bit hash in names that had to be cut.
    """
    last = _encode(stem) if stem else "%"
    match = _STEP.fullmatch(last)
    if match:
        last = f"{match['stem']}%2D{match['digits']}"
    above = "".join(f"{_shortened(_encode(part))}/" for part in directory.split("/") if part)
    whole = _joined(above, last)
    return _joined(above, last + _END) if _ends_in_repetition(whole) else whole


def step_id(series_id: str, digits: str) -> str:
    """The id of one step of a series; `digits` is the step as the file name spells it."""
    whole = f"{series_id}-{digits if len(digits) <= _LONGEST_STEP else _CUT + _digest(digits)}"
    return whole + _END if _ends_in_repetition(whole) else whole


def named_prefixes(content: bytes) -> tuple[list[str], list[list[str]]]:
    """The paths in a `checkpoint` file (CheckpointState as a text protocol buffer), by what their base names may be.

    The first list is of model_checkpoint_path, empty where there is none; the others are of all paths, in order.
    Each holds base names, at most three, since a backslash can be part of a name, a Windows path's separator, or half
    of an escape. Anything else in `content` is passed over. No base name leads to another directory.
    """
    newest, every = [], []
    for match in _NAMED.finditer(content):
        names = _base_names(match[2][1:-1])
        if names:
            every.append(names)
        if not match[1]:
            newest = names
    return newest, every


def named_paths(content: bytes) -> list[str]:
    """The paths in a `checkpoint` file as they stand there, in order, each once."""
    paths = (_unescaped(match[2][1:-1]).decode("utf-8", "surrogateescape") for match in _NAMED.finditer(content))
    return list(dict.fromkeys(path for path in paths if "\0" not in path))


def _base_names(quoted: bytes) -> list[str]:
    path, raw = _unescaped(quoted).decode("utf-8", "surrogateescape"), quoted.decode("utf-8", "surrogateescape")
    names = [path.split("/")[-1], re.split(r"[/\\]", path)[-1], re.split(r"[/\\]", raw)[-1]]
    names = [_V1_SHARD.sub("", name) for name in names]
    return [name for name in dict.fromkeys(names) if name not in (".", "..") and "\0" not in name]


def _unescaped(quoted: bytes) -> bytes:
    def character(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, letter = match.groups()
        if letter:
            return bytes([_ESCAPED.get(letter[0], letter[0])])
        return bytes([int(octal, 8) & 255 if octal else int(hexadecimal, 16)])

    return _ESCAPE.sub(character, quoted)


def printable(text: str) -> str:
    """`text` for people and for UTF-8 files: control characters and non-UTF-8 bytes are percent-encoded."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_percent(character) if _is_unprintable(character) else character for character in text)


def _encode(component: str) -> str:
    # The bytes decide, so that an id does not depend on the locale.
    text = os.fsencode(component).decode("utf-8", "surrogateescape")
    encoded = "".join(_percent(c) if c in _ENCODED or not c.isprintable() else c for c in text)
    if encoded.endswith(".log"):
        encoded = encoded.removesuffix(".log") + "%2Elog"
    if encoded[0] in ".-~" or encoded in MADE_FILES:
        encoded = _percent(encoded[0]) + encoded[1:]
    return encoded


def _joined(above: str, last: str) -> str:
    """The components `above`, each with a slash at its end, and the last one, all of them cut where that is needed."""
    whole = above + _shortened(last)
    return whole if len(whole.encode()) <= _LONGEST_ID else f"{_CUT}{_digest(above[:-1])}/{_shortened(last)}"


def _ends_in_repetition(text: str) -> bool:
    lengths = range(1, len(text) // _REPEATED + 1)
    return any(text.endswith(text[-length:] * _REPEATED) for length in lengths)


def _is_unprintable(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _shortened(component: str) -> str:
    if len(component.encode()) <= _LONGEST_COMPONENT:
        return component
    kept = component.encode()[: _LONGEST_COMPONENT - len(_CUT) - 32].decode("utf-8", "ignore")
    return re.sub("%[0-9A-F]?$", "", kept) + _CUT + _digest(component)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
