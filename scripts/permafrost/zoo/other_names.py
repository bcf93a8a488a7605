"""Names that something made of the name of a checkpoint's file: a browser, an editor, a download, a checksum's program.

model.ckpt-1.index (1)    model.ckpt-1 (1).index    model.ckpt-1.index.txt    ._model.ckpt-1.index
"""

import re
from collections.abc import Iterator

DATA_SHARD = re.compile(r"(.*)\.data-[0-9]{5}-of-([0-9]{5})", re.DOTALL)

# An ending after the whole name; what browsers and file managers put into the name of a copy; what comes before it.
_ENDING = re.compile(r"(?:\.[A-Za-z0-9_!+-]{1,40}|~|#)\Z")
_COPY = re.compile(r"\A[Cc]opy (?:\(\d{1,4}\) )?of |\s?\(\d{1,4}\)|\s?-?\s?\b[Cc]opy(?:\s\d{1,4})?\b")
_BEFORE = re.compile(r"\A(?:\._|\.~lock\.|\.#|~\$|#|\.)")
_MOST = 40  # names that are looked at

_UNFINISHED = re.compile(
    r".*\.(?:part|partial|crdownload|opdownload|download|downloading|aria2|!ut|!qb|filepart|tmp|temp|incomplete)\d*\Z",
    re.DOTALL | re.IGNORECASE,
)
_BACKUP = re.compile(r".*(?:~|\.(?:bak|backup|old|orig|copy))\Z", re.DOTALL | re.IGNORECASE)
_PACKED = re.compile(r".*\.(?:gz|bz2|xz|zst|zip|tar|tgz|7z|rar)(?:\.\d+)?\Z", re.DOTALL | re.IGNORECASE)
_INTERRUPTED = re.compile(r".*\.tempstate\d+\Z", re.DOTALL)
_CHECKPOINT = re.compile(r".*\.ckpt[^.~ ()#]*\Z", re.DOTALL)
# Endings of files that people and programs put beside a checkpoint, whatever is in them.
_BESIDE = re.compile(
    r".*(?:~|\.(?:md5|md5sum|sha\d*|sha\d+sum|sum|crc|asc|sig|log|out|err|txt|md|rst|json|ya?ml|toml|ini|cfg|csv|tsv|xml"
    r"|html?|pdf|png|jpe?g|gif|svg|bmp|py|pyc|ipynb|sh|pbtxt|pb|dvc|aria2|bak|backup|old|orig|swp|lock|pid|torrent|url"
    r"|tempstate\d+))\Z",
    re.DOTALL | re.IGNORECASE,
)


def originals(name: str) -> list[str]:
    """The names from which `name` may have been made, the most like it first, without itself."""
    found = [name]
    for other in found:
        found += [original for original in _one_step_back(other) if original and original not in found]
        if len(found) > _MOST:
            break
    return found[1:]


def _one_step_back(name: str) -> Iterator[str]:
    for pattern in (_COPY, _ENDING, _BEFORE):
        if pattern.search(name):
            yield pattern.sub("", name, count=1)


def is_of_a_checkpoint(name: str) -> bool:
    """Whether a file is named as a V1 checkpoint is: with `.ckpt`, and no further ending after it."""
    return bool(_CHECKPOINT.match(name)) and not name.startswith(".")


def is_unfinished(name: str) -> bool:
    """Whether a file is named as a download is before it has ended."""
    return bool(_UNFINISHED.match(name))


def is_of_something_beside(name: str) -> bool:
    """Whether a file has the ending of a checksum, a log, a picture, a copy, and so on, and is no checkpoint."""
    return bool(_BESIDE.match(name)) or is_unfinished(name) or name.startswith("._")


def is_a_copy(name: str) -> bool:
    """Whether a file is named as a copy of another, by a browser, an editor or a person."""
    return bool(_BACKUP.match(name) or _COPY.search(name))


def why_beside(name: str) -> str:
    """What a file is that belongs to no checkpoint, by its name, said of several."""
    if name.startswith("._"):
        return "attributes of other files, which macOS keeps"
    if _INTERRUPTED.match(name):
        return "left by a save that was interrupted"
    if _PACKED.match(name):
        return "packed files, which are not unpacked"
    return "downloads that have not ended" if is_unfinished(name) else "no checkpoints of their own"


def checkpoint_of(name: str) -> str:
    """The prefix of the checkpoint to which a file of this very name belongs, as far as its endings say it."""
    if shard := DATA_SHARD.fullmatch(name):
        return shard[1]
    return name.removesuffix(".index").removesuffix(".meta")


def part_of(name: str) -> str:
    """The prefix of the checkpoint of which a packed file, or a part of a download, was made, or ""."""
    made_of = originals(name)
    found = next((original for original in made_of if checkpoint_of(original) != original), "")
    return checkpoint_of(found) if found else next(filter(is_of_a_checkpoint, made_of), "")
