"""What a careful colleague would warn about after a look at a graph: things that are right in it, and surprise."""

import re
from collections.abc import Iterator

from permafrost.graph.calls import called_functions
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.registry import registered
from permafrost.graph.ops.stateful import RANDOM
from permafrost.graph.protos import GraphDef, NodeDef
from permafrost.graph.static import constant
from permafrost.records import FEW_WEIGHTS, INITIAL, LEFT_OUT, ImportRecord, Provenance, known
from permafrost.report.scopes import Scope, scopes
from permafrost.report.tables.findings import INFO, SEVERITIES, WARNING, Finding
from permafrost.signature import feeds

_TRAINING = re.compile(r"train|phase|learning|drop_?out|batch_?norm|(^|/)bn(_\d+)?/", re.IGNORECASE)
_MOMENTS = re.compile(r"(^|/)moments(_\d+)?/(.*/)?(mean|mean_ss)$")
_PATH = re.compile(
    r"(^|[\s'\"=:])(/(home|Users|root|mnt|data|tmp|var|usr|opt|workspace)/[^\s'\"]+|[A-Za-z]:[\\/][^\s'\"]+)"
)
_USER = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_INTERFACE = "api_implements"
_MOST_LEFT_OUT = 5  # names of outputs that were left out
_NODE = re.compile(r"node '([^']+)'")
_SHOWN = 120  # characters of a string in the graph

# Op types that runtimes other than TensorFlow's own lack, or have under conditions, by what they are for.
_RARE = {
    "conds and loops of TensorFlow 1": "Switch RefSwitch Merge RefMerge Enter RefEnter Exit RefExit "
    "NextIteration LoopCond",
    "arrays of tensors": "TensorArrayV2 TensorArrayV3 TensorArrayReadV3 TensorArrayWriteV3 TensorArrayScatterV3 "
    "TensorArrayGatherV3 TensorArraySizeV3",
    "lookup tables": "HashTable HashTableV2 LookupTableFind LookupTableFindV2 MutableHashTable MutableHashTableV2",
    "parsing of records": "ParseExample ParseExampleV2 ParseSingleExample DecodeRaw DecodeCSV DecodeJpeg DecodePng "
    "DecodeImage DecodeWav",
    "strings": "StringSplit StringSplitV2 StringJoin RegexReplace Substr AsString StringToNumber "
    "StringToHashBucketFast",
    "sparse tensors": "SparseTensorDenseMatMul SparseToDense SparseReorder SparseReshape "
    "SparseFillEmptyRows SparseConcat",
    "CTC": "CTCGreedyDecoder CTCBeamSearchDecoder CTCLoss",
    "sampling": "Multinomial RandomUniform RandomStandardNormal TruncatedNormal RandomShuffle",
}  # fmt: skip


def of_record(imported: ImportRecord) -> Iterator[Finding]:
    """What the import record says: variables without a value, averages not used, a batch size, and what else it notes.

    Args:
      imported: an import record; what a failed import did not find is passed over.
    """
    for note in known(imported.findings, ()):
        yield Finding(INFO, "note", "", note)
    unsaved = [row.variable for row in known(imported.variables, ()) if not row.key]
    if unsaved:
        advice = (
            f"the checkpoint has no value for {len(unsaved)} variables; outputs that need one can be frozen only where "
            "constants determine its initial value"
        )
        yield Finding(INFO, "variable_not_saved", unsaved[0], advice)
    yield from _of_outputs(imported)
    yield from _of_left_out(imported)
    open_batch = feeds.has_batch(known(imported.inputs, {}))
    if open_batch and len(known(imported.batches, ())) == 1:
        size = imported.batches[0]
        advice = f"it runs with a batch of {size}, and with no other that was tried; feed batches of {size}"
        yield Finding(WARNING, "fixed_batch", "", advice)
    if rehearsal := known(imported.rehearsal, ""):
        yield Finding(WARNING, "did_not_run", "", rehearsal)


def _of_outputs(imported: ImportRecord) -> Iterator[Finding]:
    """Whether outputs that were found in the graph depend on few of the weights that it trains."""
    reached, more = known(imported.weights_reached, None), known(imported.reaches_more, "")
    if reached is not None and reached < FEW_WEIGHTS:
        told = f"{more!r} depends on more of them" if more else "outputs.csv lists what else could be one"
        advice = (
            f"the outputs that were found depend on {reached:.0%} of the trained weights; {told}: "
            "name the outputs in the model's settings"
        )
        yield Finding(WARNING, "few_weights", more or known(imported.outputs, [""])[0], advice)


def _of_left_out(imported: ImportRecord) -> Iterator[Finding]:
    """What stands in the way of tensors that would have been outputs, so that those before it were taken."""
    lost: dict[str, list[str]] = {}
    for entry in known(imported.outputs_ranking, ()):
        for reason in entry.reasons if not entry.chosen else ():
            if reason.startswith(LEFT_OUT):
                lost.setdefault(reason.removeprefix(LEFT_OUT), []).append(entry.name)
    for reason, names in lost.items():
        shown = ", ".join(repr(name) for name in names[:_MOST_LEFT_OUT])
        more = f" and {len(names) - _MOST_LEFT_OUT} more" if names[_MOST_LEFT_OUT:] else ""
        advice = f"{reason}; these outputs were left out: {shown}{more}"
        yield Finding(WARNING, "outputs_left_out", _NODE.findall(f"{reason} node {names[0]!r}")[0], advice)


def of_repairs(provenance: Provenance) -> Iterator[Finding]:
    """What the freezer decided that the graph leaves open: reads that have no order with a write come first.

    And that a variable has its initial value, where the checkpoint has none, and that inputs are constants.
    """
    for source, value in known(provenance.baked, {}).items():
        advice = f"in the frozen graph this input always is {value}, and cannot be fed; `bake: false` keeps it an input"
        yield Finding(INFO, "baked_input", source, advice)
    for repair in known(provenance.repairs, ()):
        if repair.repair.endswith("in no order of the graph"):
            advice = f"it {repair.repair}; TensorFlow may give the value written as well, from run to run"
            yield Finding(WARNING, "unordered_read", repair.node, advice)
        elif repair.repair == INITIAL:
            advice = (
                "the checkpoint has no value for it: it is frozen with its initial value, as if it was never trained"
            )
            yield Finding(WARNING, "initial_value", repair.node, advice)


def of_strings(graph_def: GraphDef) -> Iterator[Finding]:
    """Constants of the meta graph's graph that look like paths or addresses, which are somebody's own."""
    for node in graph_def.node:
        values = node.attr["value"].tensor.string_val if node.op == "Const" and "value" in node.attr else ()
        for value in values:
            text = value[:4096].decode("utf-8", "replace")
            if _PATH.search(text) or _USER.search(text):
                shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
                yield Finding(
                    INFO, "private_string", node.name, f"the graph holds {shown!r}; look before you publish it"
                )
                break


def of_frozen(graph_def: GraphDef, switches: set[str]) -> Iterator[Finding]:
    """What is active in a frozen graph: random ops, batch statistics, training flags, and ops that are old or rare.

    Args:
      switches: the tensors, such as a keep_prob, that are fed one value, or have a default.
    """
    found = scopes(graph_def)
    for scope in found:
        for node in scope.nodes:
            yield from _active(scope, node, switches)
    yield from _replaceable(graph_def)
    yield from _old_and_rare(found)


def _active(scope: Scope, node: NodeDef, switches: set[str]) -> Iterator[Finding]:
    if RANDOM.match(node.op):
        yield _depending(scope, node, switches, "random_op", "the outputs are random at inference")
    is_fused = node.op.startswith("FusedBatchNorm") and "Grad" not in node.op and _is_training(node)
    if is_fused or (_MOMENTS.search(node.name) and node.op in ("Mean", "Sum") and _over_batch(scope.index, node)):
        what = "it normalises with the statistics of the batch, so that each row's outputs depend on the other rows"
        yield _depending(scope, node, switches, "batch_statistics", what)
    if node.op in ("Switch", "If", "StatelessIf") and (flag := _flag(scope.index, node)):
        advice = "it is true in the graph, and looks like a training flag"
        yield Finding(WARNING, "training_flag", scope.place(flag), advice)


def _replaceable(graph_def: GraphDef) -> Iterator[Finding]:
    """Calls of functions of which TensorFlow's optimiser may run another one in their place.

    Those are the ones with the same interface `api_implements` (function_api_info.cc and implementation_selector.cc in
    tensorflow/core/grappler/optimizers); Keras has such for its LSTM and GRU.
    """
    library = graph_def.library.function
    interfaces = {
        f.signature.name: f.attr[_INTERFACE].s.decode("utf-8", "replace") for f in library if _INTERFACE in f.attr
    }
    inner = (node for function in library for node in function.node_def)
    for node in (*graph_def.node, *inner) if interfaces else ():
        for name in sorted(set(called_functions(node)) & interfaces.keys()):
            advice = (
                f"it calls one of the functions that do what {interfaces[name]!r} says; TensorFlow's optimisers may "
            )
            yield Finding(
                WARNING, "replaceable_function", node.name, advice + "run another of them, the judge does not"
            )


def _old_and_rare(found: list[Scope]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for scope in found:
        for node in scope.nodes:
            first.setdefault(node.op, scope.place(node.name))
    for op, name in first.items():
        definition = registered(op)
        if definition is not None and definition.HasField("deprecation"):
            since = definition.deprecation
            advice = f"{op}, since GraphDef version {since.version}: {since.explanation}"
            yield Finding(INFO, "deprecated_op", name, advice)
    for family, members in _RARE.items():
        ops = sorted(first.keys() & set(members.split()))
        if ops:
            advice = f"{', '.join(ops)} ({family}): missing or limited in runtimes other than TensorFlow's own"
            yield Finding(INFO, "rare_op", first[ops[0]], advice)


def _depending(scope: Scope, node: NodeDef, switches: set[str], name: str, what: str) -> Finding:
    """A finding about a node that may be switched off: by what is fed, or on one side of a cond."""
    condition = scope.condition(node, switches)
    place = scope.place(node.name)
    return Finding(INFO, name, place, f"{what}, {condition}") if condition else Finding(WARNING, name, place, what)


def _is_training(node: NodeDef) -> bool:
    return node.attr["is_training"].b if "is_training" in node.attr else True


def _over_batch(index: GraphIndex, node: NodeDef) -> bool:
    axes = constant(index.source_of(node, 1))
    return axes is not None and 0 in axes.reshape(-1).tolist()


def _flag(index: GraphIndex, node: NodeDef) -> str:
    """The constant true that decides a cond which has to do with training; empty where there is none."""
    source = index.source_of(node, 1 if node.op == "Switch" else 0)
    while source is not None and source.op == "Identity":
        source = index.source_of(source, 0)
    if source is None or source.op != "Const" or not _TRAINING.search(f"{source.name} {node.name}"):
        return ""
    value = constant(source)
    return source.name if value is not None and value.dtype == bool and value.size == 1 and value.item() else ""


def worst_first(rows: list[Finding]) -> list[Finding]:
    """Findings, errors before warnings before infos; nodes of which the same is said share the first one's."""
    nodes: dict[tuple[int, str, str], dict[str, None]] = {}
    for row in rows:
        nodes.setdefault((SEVERITIES.index(row.severity), row.finding, row.advice), {})[row.node] = None
    found = []
    for (severity, name, advice), (first, *others) in sorted(nodes.items(), key=lambda item: item[0]):
        further = f" ({len(others)} more such nodes, {others[-1]} last)" if others else ""
        found.append(Finding(SEVERITIES[severity], name, first, advice + further))
    return found
