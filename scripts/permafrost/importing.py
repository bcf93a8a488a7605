"""What a meta graph says about a checkpoint: variables and their keys, outputs, inputs, and what stands in the way."""

from collections import Counter
from math import prod

from permafrost import inputs, node_checks, op_definitions, outputs, pruning
from permafrost.contract import Problem
from permafrost.metagraph import (
    VARIABLE_OPS,
    GraphIndex,
    missing_inputs,
    needed_functions,
    node_in_cycle,
    recursive_function,
    static_shape,
    tensor_name,
)
from permafrost.propagation import CALLS
from permafrost.protos import types_pb2
from permafrost.restore_map import Source, restore_map


def describe_graph(meta_graph) -> dict:
    """The facts of a meta graph that need no checkpoint: who wrote it, and its nodes by op type."""
    graph_def = meta_graph.graph_def
    return {
        "tensorflow_version": meta_graph.meta_info_def.tensorflow_version,
        "producer": graph_def.versions.producer,
        "nodes": len(graph_def.node),
        "op_types": dict(sorted(Counter(node.op for node in graph_def.node).items())),
        "placeholders": [node.name for node in graph_def.node if node.op in pruning.PLACEHOLDERS],
    }


_AVERAGE = "ExponentialMovingAverage"  # the name of tf.train.ExponentialMovingAverage, unless a program gives it one


def describe_variables(
    path: str, meta_graph, index: GraphIndex, tensors: dict, weights: str, is_named: bool = False
) -> list[dict]:
    """One dict for each variable node: variable, op, dtype, shape, bytes, key, slice, box, restored.

    `restored` is the key that the graph's own saver restores, where `key` is another: that of the variable's average.

    `key` is empty for a variable that the meta graph's saver does not restore; a meta graph without a saver is taken
    to restore each variable by its name.
    Args:
      path: of the meta graph, for messages.
      tensors: key -> permafrost.checkpoint.Tensor.
      weights: "raw", or "ema" for the averages of the variables that have one.
      is_named: whether the settings name a graph without a saver, whose variables then go by their names.
    Raises Problem: foreign_meta_graph where the saver restores keys that the checkpoint lacks, shape_mismatch where
      dtype or shape of a variable is not that of its tensor.
    """
    sources = restore_map(meta_graph, index)
    variable_nodes = [node for node in index.graph_def.node if node.op in VARIABLE_OPS]
    if not sources:
        sources = {node.name: Source(node.name) for node in variable_nodes if node.name in tensors}
        averages = [name for name in sources if f"{name}/{_AVERAGE}" in tensors]
        if averages and weights == "raw" and not is_named:
            raise Problem(
                "bad_meta_graph",
                f"{path} has no saver, and the checkpoint holds {averages[0]!r} as well as its average: nothing says "
                "which of the two belongs to the graph",
                "copy the .meta file again; or set `weights: ema`, or `restore_op_name:`, if this is all there is",
            )
    _refuse_foreign(path, sources, tensors)
    rows = [_variable(node, sources.get(node.name), tensors) for node in variable_nodes]
    if weights == "ema" and not _take_averages(rows, tensors):
        raise Problem(
            "bad_setting", f"`weights: ema` asks for averages, but the checkpoint has no tensor <variable>/{_AVERAGE}"
        )
    return rows


def _take_averages(rows: list[dict], tensors: dict) -> int:
    """Has each row take its variable's average, where the checkpoint has one; returns how many do."""
    taken = 0
    for row in rows:
        keys = [f"{name}/{_AVERAGE}" for name in (row["key"], row["variable"]) if row["key"]]
        key = next((key for key in keys if key in tensors), None)
        if row["key"].endswith(f"/{_AVERAGE}"):
            taken += 1
        elif key and list(tensors[key].shape) == row["shape"] and tensors[key].dtype == row["dtype_enum"]:
            row |= {"restored": row["key"], "key": key, "slice": "", "box": None, "bytes": tensors[key].nbytes}
            taken += 1
    return taken


def _refuse_foreign(path: str, sources: dict[str, Source], tensors: dict) -> None:
    wanted = {source.key for source in sources.values()}
    missing, unused = sorted(wanted - set(tensors)), sorted(set(tensors) - wanted)
    if missing or (tensors and not wanted):
        raise Problem(
            "foreign_meta_graph",
            f"the checkpoint lacks {len(missing)} of the {len(wanted)} tensors that {path} restores "
            f"({_some(missing)}), and has {len(unused)} that it does not restore ({_some(unused)})",
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "none"


def _variable(node, source: Source | None, tensors: dict) -> dict:
    dtype = node.attr["dtype"].type
    if dtype not in types_pb2.DataType.values():
        raise Problem("bad_meta_graph", f"variable {node.name!r} has the unknown dtype number {dtype}")
    declared = static_shape(node)
    row = {
        "variable": node.name,
        "op": node.op,
        "dtype": types_pb2.DataType.Name(dtype).removeprefix("DT_").lower(),
        "dtype_enum": dtype,
        "shape": list(declared) if declared is not None else None,
        "bytes": None,
        "key": "",
        "slice": "",
        "box": None,
    }
    if source is None:
        return row
    tensor = tensors[source.key]
    shape = tensor.shape if source.extent is None else source.extent
    if tensor.dtype != dtype:
        stored = types_pb2.DataType.Name(tensor.dtype).removeprefix("DT_").lower()
        raise Problem(
            "shape_mismatch", f"variable {node.name!r} is {row['dtype']}, but tensor {source.key!r} is {stored}"
        )
    if source.extent is not None and (
        len(source.extent) != len(tensor.shape)
        or any(s + e > size for s, e, size in zip(source.start, source.extent, tensor.shape, strict=True))
    ):
        raise Problem(
            "shape_mismatch",
            f"variable {node.name!r} is a slice that tensor {source.key!r} of shape {list(tensor.shape)} does not have",
        )
    if source.reshaped and declared is not None and min(declared, default=0) >= 0:
        shape_fits, shape = prod(declared) == prod(shape), declared
    else:
        shape_fits = declared is None or _compatible(declared, shape)
    if not shape_fits:
        raise Problem(
            "shape_mismatch",
            f"variable {node.name!r} has shape {list(declared)}, but tensor {source.key!r} has {list(shape)}",
        )
    whole = max(1, prod(tensor.shape))
    row |= {
        "shape": list(shape),
        "bytes": tensor.nbytes if prod(shape) == prod(tensor.shape) else tensor.nbytes * prod(shape) // whole,
        "key": source.key,
    }
    if source.extent is not None and (any(source.start) or tuple(source.extent) != tuple(tensor.shape)):
        row["box"] = [list(source.start), list(source.extent)]
        row["slice"] = ":".join(f"{first},{length}" for first, length in zip(source.start, source.extent, strict=True))
    return row


def _compatible(declared: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    # TF 0.x wrote no dimensions for a shape that it did not know.
    return not declared or (
        len(declared) == len(shape) and all(a in (-1, b) for a, b in zip(declared, shape, strict=True))
    )


def choose(meta_graph, index: GraphIndex, variables: list[dict], settings: dict) -> dict:
    """The outputs and inputs of a model, from its settings or found in its graph, and the ops between them.

    Returns `outputs`, `outputs_why`, `inputs` (tensor name -> description) and `op_definitions`, which also has the
    ops inside the library functions that the outputs need.
    Raises Problem: no_output, unknown_output, unknown_input, unknown_op, bad_meta_graph (a needed node is not as its
      op demands, or an input of it is not in the graph) or bad_setting.
    """
    configured = None if settings["outputs"] == "auto" else settings["outputs"]
    names = {variable["variable"] for variable in variables}
    choice = outputs.choose(meta_graph, index, names, configured)
    shapes = {variable["variable"]: variable["shape"] for variable in variables if variable["shape"] is not None}
    configured_inputs = {} if settings["inputs"] == "auto" else settings["inputs"]
    fed = inputs.describe(index, choice.outputs, configured_inputs, shapes)

    cut, cuts = pruning.cut_inputs(meta_graph.graph_def, list(fed), choice.outputs)
    for name in choice.outputs:
        point = "{}:{}".format(*tensor_name(name))
        if cuts.get(point, point) != point:
            raise Problem("unknown_output", f"output {name!r} is fed as an input, so nothing computes it")
    cut_index = GraphIndex(cut)
    output_nodes = [tensor_name(name)[0] for name in choice.outputs]
    own = pruning.needed(cut_index, output_nodes, with_colocated=False)
    own |= pruning.needed(cut_index, pruning.table_initializers(cut_index, own), with_colocated=False)
    if missing := missing_inputs(cut_index, own):
        raise Problem("bad_meta_graph", f"the graph lacks the node {missing[0]!r}, which the outputs need")
    if name := node_in_cycle(cut_index, own):
        raise Problem("bad_meta_graph", f"node {name!r} depends on itself, and no while loop is around it")
    nodes = [cut_index.nodes[name] for name in sorted(own)]
    functions = needed_functions(nodes, cut.library)
    if name := recursive_function(functions):
        raise Problem("bad_meta_graph", f"function {name!r} calls itself, which TensorFlow cannot run")
    _check_nodes("", nodes, cut.library)
    for function in functions:
        _check_nodes(f"{function.signature.name}/", function.node_def, cut.library)
    _check_kernels([*nodes, *(node for function in functions for node in function.node_def)])
    _check_sources(cut_index, nodes)
    kept = own | pruning.needed(cut_index, output_nodes)
    ops = {cut_index.nodes[name].op for name in kept} | {n.op for function in functions for n in function.node_def}
    definitions = op_definitions.look_up(ops)
    beside = [cut_index.nodes[name] for name in sorted(kept - own)]
    _check_nodes("", [node for node in beside if node.op in definitions], cut.library)
    return {
        "outputs": choice.outputs,
        "outputs_why": choice.why,
        "outputs_ranking": choice.ranking,
        "inputs": fed,
        "op_definitions": definitions,
    }


def _check_nodes(where: str, nodes, library) -> None:
    """Raises Problem (unknown_op, bad_meta_graph) for nodes that this TensorFlow could not import."""
    functions = {function.signature.name: function for function in library.function}
    for node in nodes:
        definition = op_definitions.registered(node.op)
        if definition is not None:
            node_checks.check(node, definition)
            _check_calls(node, functions)
        elif node.op not in functions:
            raise Problem("unknown_op", f"node {where + node.name!r} has op {node.op}, which this TensorFlow lacks")


def _check_calls(node, functions: dict) -> None:
    """Raises Problem (bad_meta_graph) where the graph lacks a function that a node calls, or it takes other inputs."""
    first, _, attributes = CALLS.get(node.op, (0, "", ()))
    arguments = sum(not text.startswith("^") for text in node.input) - first
    for attribute in attributes:
        value = node.attr[attribute]
        for called in value.list.func or [value.func]:
            if called.name not in functions and not value.placeholder:
                raise Problem("bad_meta_graph", f"the graph lacks function {called.name!r}, which {node.name!r} calls")
            if called.name in functions and len(functions[called.name].signature.input_arg) != arguments:
                raise Problem(
                    "bad_meta_graph",
                    f"node {node.name!r} ({node.op}) calls function {called.name!r} with {arguments} inputs, "
                    f"which takes {len(functions[called.name].signature.input_arg)}",
                )


def _check_kernels(nodes) -> None:
    """Raises Problem (unsupported_op) for an op that TensorFlow knows but cannot run here, on a CPU."""
    from tensorflow.python.framework import kernels

    for op in sorted({node.op for node in nodes if op_definitions.registered(node.op) is not None}):
        devices = {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(op).kernel}
        if not devices & {"CPU", "DEFAULT"}:
            name = next(node.name for node in nodes if node.op == op)
            raise Problem(
                "unsupported_op", f"node {name!r} has op {op}, for which this TensorFlow has no kernel on a CPU"
            )


def _check_sources(index: GraphIndex, nodes) -> None:
    """Raises Problem (bad_meta_graph) where one of `nodes` takes an output that its source does not have."""
    for node in nodes:
        for name, output in index.inputs_of(node):
            source = index.nodes[name]
            definition = op_definitions.registered(source.op) if output else None
            if definition is not None and output >= node_checks.output_count(source, definition):
                raise Problem("bad_meta_graph", f"node {node.name!r} takes {name}:{output}, which {source.op} lacks")
