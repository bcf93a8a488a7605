"""What each cause means, in a sentence: for docs/causes.md, and for the page, which needs nothing from elsewhere."""

from permafrost.outcome import CAUSES, TRANSIENT, hint_of_export

# A key for each of outcome.CAUSES, in the same order.
MEANINGS = {
    "no_meta_graph": "There are weights and no graph: no .meta file of this checkpoint, and not exactly one other "
    "graph around it that restores its tensors.",
    "no_index": "The .data files are there, and the .index file, which says where each tensor lies in them, is not.",
    "missing_shard": "The weights are spread over several .data files, and not all of them are there.",
    "missing_checkpoint": "The graph is there (a .meta file), and the weights are not.",
    "lfs_pointer": "The file is the small text that stands for a large file in a Git LFS repository; the large one was "
    "not fetched.",
    "truncated": "The file ends before its content does, as after a copy or a download that was broken off.",
    "corrupt": "The file is there as a whole, and its bytes are not those that were written.",
    "tf2_checkpoint": "The checkpoint goes by Python objects, as those of TensorFlow 2 do, and has no graph.",
    "not_a_checkpoint": "The file is named like a checkpoint, and is something else.",
    "saved_model": "A SavedModel without variables: all its values are in the graph already.",
    "unreadable": "The operating system does not let you read the file.",
    "missing_vocabulary": "A table of the graph is filled from a text file, which lies nowhere that was looked in.",
    "bad_vocabulary": "A table of the graph is filled from a text file, and TensorFlow fills no table from that one.",
    "outside_zoo": "A file that the model needs is a link, or a path, that leads out of the zoo; it was not followed.",
    "bad_meta_graph": "The file that should hold the graph holds none that TensorFlow takes.",
    "foreign_meta_graph": "The graph and the checkpoint have nothing in common: they are of two models.",
    "no_output": "Nothing in the graph could be an output: nothing that depends on weights or on what is fed.",
    "unknown_output": "The settings name an output that the graph does not have.",
    "unknown_input": "The settings name an input that the graph does not have.",
    "unknown_op": "The outputs need an op that this TensorFlow does not have, as that of a library of its own.",
    "unsupported_op": "The outputs need what a frozen graph, or the format of the export, cannot hold.",
    "missing_variable": "The outputs need a variable of which the checkpoint has no value, and which has no initial "
    "value that is a constant.",
    "shape_mismatch": "The graph and the checkpoint have a tensor of the same name in two shapes.",
    "dtype_mismatch": "The graph and the checkpoint have a tensor of the same name in two dtypes.",
    "bad_setting": "A value in the model's settings does not fit the model.",
    "too_large": "What was to be made is larger than its format can be.",
    "changed": "A file was another one when it was read again: something writes to it.",
    "disk_full": "There was no room on the disk for what was to be written.",
    "io_error": "The operating system reported a fault while a file was read or written.",
    "killed": "A process was ended from outside, as the kernel does when the machine runs out of memory.",
    "weights_differ": "A constant of the frozen graph is not what TensorFlow restores into the variable it stands for.",
    "outputs_differ": "The two sides gave other values for an output when they were fed the same.",
    "structure_differs": "What was made has a node, an edge or an entry that it should not have, or lacks one.",
    "not_frozen": "A frozen graph of another tool still has variables, whose values it does not hold.",
    "not_importable": "TensorFlow does not take the file as a graph.",
    "not_restorable": "TensorFlow's own saver could not restore the checkpoint into the graph.",
    "no_feed": "No values were found for an input.",
    "bad_feed": "TensorFlow refused what an input was fed, for its shape, its dtype or its values.",
    "unsafe_op": "The graph has an op that reaches files, processes or the network, and strangers' graphs are "
    "programs: it was not run.",
    "run_failed": "TensorFlow gave up while it ran the graph on what was fed, which may be nothing that it takes.",
    "timeout": "It took longer than `timeout:` allows.",
    "memory": "It needed more memory than `memory_mb:` allows.",
    "processes": "It started more threads and processes than `processes:` allows.",
    "crash": "The process that ran the graph died, or ended without a result.",
    "random": "The values that were to be compared are drawn anew each time.",
    "unordered": "The graph reads and writes a variable in one run, in no order, and TensorFlow did not mostly give "
    "the value that the frozen graph gives.",
    "insensitive": "No changed weight changed an output, so that equal outputs prove nothing.",
    "not_verified": "The model itself is not verified, and nothing is exported that is not.",
    "missing_package": "A converter or a runtime is not installed.",
    "conversion_failed": "The converter gave up, or made something that computes something else.",
    "random_op": "An output of the export depends on random numbers, which no two runtimes draw alike.",
    "string_input": "The format cannot take these strings.",
    "lost_output": "The converter left an output out.",
    "near_tie": "A class number is another one, since two scores are nearly equal, and runtimes round differently.",
    "fixed_value": "The model does not run on a value that was made a constant of the export.",
    "internal": "Permafrost itself failed, where it should have said what is wrong with the model.",
}

_HEAD = """# How a model can end, and why

| status | what it means |
|---|---|
| `verified` | the weights are the same bytes, every op is the meta graph's own, the outputs are equal on every trial, \
and a changed weight was noticed |
| `mismatch` | it was frozen, and the judge found a difference: do not use it |
| `unverifiable` | it was frozen, and could not be run or compared; `cause` says why |
| `failed` | it could not be frozen; there is no `.pb` |

Exports have statuses of their own, in [exports.md](exports.md#what-exportscsv-says).

Below is each `cause`, with what it means and, behind the arrow, what to do where the row itself (`message` and `hint`)
does not know better. The page says the same of each model.

This page is made from `scripts/permafrost/report/causes.py` by `python docs/make_reference.py`.
"""
_AGAIN = "A fault of the machine, not of the model: the next run [tries again](running.md#what-is-made-again)."


def page() -> str:
    """All causes as a page of Markdown, docs/causes.md: a heading for each, to link to."""
    return "\n".join([_HEAD, *(_entry(cause) for cause in CAUSES)])


def _entry(cause: str) -> str:
    again = f" {_AGAIN}" if cause in TRANSIENT else ""
    lines = [f"### {cause}", "", f"{_marked(MEANINGS[cause])}{again}", "", f"→ {_sentence(CAUSES[cause])}"]
    of_export = hint_of_export(cause)
    if of_export != CAUSES[cause]:
        lines += ["", f"→ Of an export: {_marked(of_export)}."]
    return "\n".join([*lines, ""])


def _sentence(hint: str) -> str:
    return f"{_marked(hint[0].upper() + hint[1:])}."


def _marked(text: str) -> str:
    """`text` as Markdown that shows it as it is, but for what stands between backticks."""
    return text.replace("*", r"\*").replace("<", r"\<")
