"""Model ids: strangers' file names made safe, once, for paths, shells and Snakemake's wildcards.

A model is a directory below the zoo and the stem of a checkpoint prefix. Its id is a relative path in which each
component is percent-encoded where it must be, so that two models never share an id:

    directory     stem        id
    lenet         model.ckpt  lenet/model.ckpt
    (the zoo)     lenet       lenet
    a {b}/.old    (none)      a %7Bb%7D/%2Eold/%
    run           m-5         run/m%2D5          `m-5` is the id of step 5 of the stem `m`
"""

import hashlib
import os
import re
import unicodedata

# The files that Permafrost itself puts beside or below a model's id. `*.log` is the fourth kind.
OWN_FILES = {
    "provenance.json", "frozen_graph.pb", "import.json", "verify.json",
    "ops.csv", "frozen_ops.csv", "variables.csv", "verification.csv",
}  # fmt: skip

_LONGEST_COMPONENT = 200  # bytes; file systems allow 255, and temporary names need some of them
_LONGEST_ID = 1000  # bytes; PATH_MAX is 4096
_LONGEST_STEP = 40  # digits
_CUT = "%="  # cannot arise from encoding, where two hex digits follow each `%`

_STEP = re.compile(r"(?P<stem>.*)-(?P<digits>[0-9]+)", re.DOTALL)


def split_step(prefix_name: str) -> tuple[str, int | None]:
    """The stem and the step of a prefix's base name: `model.ckpt-200` is ("model.ckpt", 200), `lenet` ("lenet", None).

    The step is `-<digits>` at the very end, as tf.train.Saver appends it, and nothing else.
    """
    match = _STEP.fullmatch(prefix_name)
    return (match["stem"], int(match["digits"])) if match else (prefix_name, None)


def model_id(directory: str, stem: str) -> str:
    """The id of the series `stem` in `directory`, which is relative to the zoo and '' at its root.

    Names are as os.scandir gives them (non-UTF-8 bytes as surrogates). The id is valid UTF-8 without control
    characters, braces, or components that are empty, hidden, or named like one of Permafrost's own files. Two
    different series never have the same id, up to collisions of a 128 bit hash in names that had to be cut.
    """
    last = _encode(stem) if stem else "%"
    match = _STEP.fullmatch(last)
    if match:
        last = f"{match['stem']}%2D{match['digits']}"
    above = [_shortened(_encode(part)) for part in directory.split("/") if part]
    whole = "/".join([*above, _shortened(last)])
    if len(whole.encode()) > _LONGEST_ID:
        return f"{_CUT}{_digest('/'.join(above))}/{_shortened(last)}"
    return whole


def step_id(series_id: str, digits: str) -> str:
    """The id of one step of a series; `digits` is the step as the file name spells it."""
    return f"{series_id}-{digits if len(digits) <= _LONGEST_STEP else _CUT + _digest(digits)}"


def printable(text: str) -> str:
    """`text` for people and for UTF-8 files: control characters and non-UTF-8 bytes are percent-encoded."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_percent(character) if _is_unprintable(character) else character for character in text)


def _encode(component: str) -> str:
    # The bytes decide, so that an id does not depend on the locale.
    text = os.fsencode(component).decode("utf-8", "surrogateescape")
    encoded = "".join(_percent(c) if c in "%{}/" or _is_unprintable(c) else c for c in text)
    if encoded.endswith(".log"):
        encoded = encoded.removesuffix(".log") + "%2Elog"
    if encoded[0] in ".-~" or encoded in OWN_FILES:
        encoded = _percent(encoded[0]) + encoded[1:]
    return encoded


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
