"""The words that hold: how a model can end, and why.

People's scripts rely on these names, so they stand in one place and nowhere else.
"""

import difflib
from collections.abc import Iterable

VERIFIED, MISMATCH, UNVERIFIABLE, FAILED = "verified", "mismatch", "unverifiable", "failed"
OK = "ok"  # of a stage that does not judge
STATUSES = (VERIFIED, MISMATCH, UNVERIFIABLE, FAILED)
REFUSED = "refused"  # of an export that could not be made
EXPORT_STATUSES = (VERIFIED, MISMATCH, UNVERIFIABLE, REFUSED)

# cause -> what to do about it, used where the place that found the problem has no better hint.
CAUSES = {
    # What the files on the disk are.
    "no_meta_graph": "put the .meta file that the training program wrote beside the checkpoint, or name its graph as "
    "`input_meta_graph:` or `input_graph:`",
    "no_index": "put the .index file of this prefix back; the .data files cannot be read without it",
    "missing_shard": "copy all .data-*-of-* files of this prefix into the directory",
    "missing_checkpoint": "copy the checkpoint's files into the directory, or delete what is left of it",
    "lfs_pointer": "run `git lfs pull` in the repository that this file comes from",
    "truncated": "copy the file again; it ends too early",
    "corrupt": "copy the file again; its checksum does not match its content",
    "tf2_checkpoint": "load it with the code that made it, and export a SavedModel with signatures, which has a graph",
    "not_a_checkpoint": "move the file out of the zoo if it is not a TensorFlow checkpoint",
    "saved_model": "use the SavedModel's graph as it is; it has no variables to freeze",
    "unreadable": "give yourself the right to read it",
    "missing_vocabulary": "put the file beside the checkpoint, or name it under `allow_paths:` in the model's settings",
    "bad_vocabulary": "put the file beside the checkpoint that the model was trained with",
    "outside_zoo": "add where the link leads to `zoo:`, or set `follow_links: true` to follow all links",
    # What the meta graph says.
    "bad_meta_graph": "copy the .meta file again, or export the meta graph anew",
    "foreign_meta_graph": "put the .meta file that was written with this checkpoint beside it",
    "no_output": "name the output nodes under `outputs:` in the model's settings",
    "unknown_output": "correct the name under `outputs:` in the model's settings",
    "unknown_input": "correct the name under `inputs:` in the model's settings",
    "unknown_op": "choose `outputs:` that do not depend on this op, or load the library that has it",
    "unsupported_op": "choose `outputs:` that do not depend on this node",
    "missing_variable": "choose `outputs:` that do not depend on this variable, or restore it from another checkpoint",
    "shape_mismatch": "put the .meta file that was written with this checkpoint beside it",
    "dtype_mismatch": "put the .meta file that was written with this checkpoint beside it, or its unconverted tensors",
    "bad_setting": "correct the model's settings",
    "too_large": "a GraphDef cannot be larger than 2 GiB; choose `outputs:` that need fewer variables",
    # What happened while it was frozen.
    "changed": "run again when nothing writes to the checkpoint",
    "disk_full": "make room on the disk and run again",
    "io_error": "look at the log, then run again",
    "killed": "run again; where it happens again, the machine has too little memory for this model",
    # What the judge found.
    "weights_differ": "do not use the frozen graph; report this with the model's provenance.json",
    "outputs_differ": "do not use the frozen graph; see verification.csv for the first difference",
    "structure_differs": "do not use the frozen graph; report this with the model's provenance.json",
    "not_frozen": "freeze the checkpoint anew; this file has variables without a value",
    "not_importable": "do not use the frozen graph; report this with the model's provenance.json",
    "not_restorable": "see the log for what TensorFlow's own saver said",
    "no_feed": "describe the inputs under `inputs:` in the model's settings",
    "bad_feed": "correct shape or values under `inputs:` in the model's settings",
    "unsafe_op": "if you trust this model, add the op to `allow_ops:`, and what it reads to `allow_paths:`",
    "run_failed": "describe the inputs under `inputs:` in the model's settings",
    "timeout": "raise `timeout:` in the model's settings, or give smaller shapes under `inputs:`",
    "memory": "raise `memory_mb:` in the model's settings, or give smaller shapes under `inputs:`",
    "processes": "raise `processes:` in the model's settings if you trust this model",
    "crash": "see the log; other shapes under `inputs:` in the model's settings may help",
    "random": "give `outputs:` that lie before the random op",
    "unordered": "give `outputs:` that do not depend on this node; what the graph gives is a matter of chance",
    "insensitive": "give `outputs:` before a saturated op, or `inputs:` that reach the weights",
    # What came of an export to another format.
    "not_verified": "only a verified frozen graph is exported; see the model's row of summary.csv",
    "missing_package": "run `make exports`, which installs what converts to ONNX and TensorFlow Lite",
    "conversion_failed": "see the log for what the converter said; other `outputs:`, or a fixed `batch:`, may help",
    "random_op": "give `outputs:` that lie before the random op, or `bake:` the input that switches it off",
    "string_input": "give `inputs:` and `outputs:` behind the strings, or export a SavedModel",
    "lost_output": "name other `outputs:`; the converter left this one out",
    "near_tie": "see the export's table; values that are nearly equal come in another order there",
    "fixed_value": "let `bake:` of this format leave the input out, or give it another value",
    # Permafrost's own fault.
    "internal": "this is an error in Permafrost; see the log",
}

# What to do about some of them where it is an exported file that they are said of, and not the frozen graph.
_OF_EXPORTS = {
    "outputs_differ": "do not use the exported file; the model's export_<format>.csv has the differences, and a "
    "`tolerance:` of ONNX or TensorFlow Lite accepts those that are rounding",
    "structure_differs": "do not use the exported file; report this with the model's export_<format>.json",
    "not_importable": "do not use the exported file; report this with the model's export_<format>.json",
    "unsupported_op": "choose `outputs:` that do not depend on this node, or another format",
    "too_large": "choose `outputs:` that need fewer variables; of ONNX the weights alone may be larger, in a file of "
    "their own",
}


def hint_of_export(cause: str) -> str:
    """What to do about a cause that is said of an exported file; "" for one that there is none of."""
    return _OF_EXPORTS.get(cause, CAUSES.get(cause, ""))


# Faults of the machine, not of the model: the next run deletes such a record and tries again.
TRANSIENT = {"disk_full", "io_error", "killed", "timeout", "changed"}


class Problem(Exception):
    """Something about a model that the reports must say.

    Args:
      cause: a key of CAUSES.
      message: one sentence that names the file or node and what is wrong.
      hint: what to do about it; the cause's own hint where it is empty.
    """

    def __init__(self, cause: str, message: str, hint: str = ""):
        super().__init__(cause, message, hint)
        self.cause = cause
        self.message = message
        self.hint = hint or CAUSES[cause]

    def __str__(self) -> str:
        return self.message


def maybe_meant(wrong: str, known: Iterable[str], cutoff: float) -> str:
    """A hint with up to three of the names `known` that are close to `wrong`; empty where none is.

    Args:
      cutoff: how close, from 0 to 1, as in difflib.get_close_matches.
    """
    close = difflib.get_close_matches(wrong, list(known), n=3, cutoff=cutoff)
    return f"maybe you meant {' or '.join(close)}" if close else ""


def harmless(text: str) -> str:
    """`text` without what a terminal obeys: escape sequences, line ends, and marks that turn the writing direction."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
