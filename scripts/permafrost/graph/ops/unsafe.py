"""The TensorFlow ops that reach beyond the graph: files, code, other processes and machines.

A graph from a stranger is a program. These ops are not run unless the model's settings allow them by name. What
merely aborts the process, never ends or takes memory (Abort, a queue, a large Fill) is left to the sandbox.
"""

from collections.abc import Collection, Iterable

from permafrost.graph.calls import functions_in, implied_functions
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.protos import GraphDef, NodeDef

_GROUPS = {
    "reads files": """
        ReadFile MatchingFiles WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 TFRecordReader
        TFRecordReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2 LMDBReader IdentityReader IdentityReaderV2
        ReaderRead ReaderReadV2 ReaderReadUpTo ReaderReadUpToV2 ReaderReset ReaderResetV2 ReaderRestoreState
        ReaderRestoreStateV2 ReaderSerializeState ReaderSerializeStateV2 ReaderNumRecordsProduced
        ReaderNumRecordsProducedV2 ReaderNumWorkUnitsCompleted ReaderNumWorkUnitsCompletedV2 RecordInput ImmutableConst
        InitializeTableFromTextFile InitializeTableFromTextFileV2 FixedUnigramCandidateSampler Skipgram
        DecodeProtoV2 EncodeProto FileSystemSetConfiguration
    """,
    "reads checkpoints": """
        Restore RestoreSlice RestoreV2 DTensorRestoreV2 LoadAndRemapMatrix GenerateVocabRemapping
    """,
    "reads files as a dataset": """
        TFRecordDataset TFRecordDatasetV2 TextLineDataset CSVDataset CSVDatasetV2 ExperimentalCSVDataset
        FixedLengthRecordDataset FixedLengthRecordDatasetV2 SqlDataset ExperimentalSqlDataset LMDBDataset
        ExperimentalLMDBDataset MatchingFilesDataset ExperimentalMatchingFilesDataset LoadDataset
        ListSnapshotChunksDataset SnapshotChunkDataset SnapshotDatasetReader SnapshotNestedDatasetReader
    """,
    "writes files": """
        WriteFile Save SaveSlices SaveV2 MergeV2Checkpoints PrintV2 DumpTensor CalibrationStatisticsSaver
        StoreMinibatchStatisticsInFdo
    """,
    "writes a dataset to files": """
        CacheDataset CacheDatasetV2 DatasetToTFRecord ExperimentalDatasetToTFRecord SaveDataset SaveDatasetV2
        SnapshotDataset SnapshotDatasetV2 DistributedSave
    """,
    "writes summary files": """
        SummaryWriter CreateSummaryFileWriter CreateSummaryDbWriter FlushSummaryWriter CloseSummaryWriter ImportEvent
        WriteSummary WriteScalarSummary WriteHistogramSummary WriteImageSummary WriteAudioSummary WriteGraphSummary
        WriteRawProtoSummary StatsAggregatorSetSummaryWriter
    """,
    "runs code that is not in the graph": """
        PyFunc PyFuncStateless EagerPyFunc XlaCustomCall XlaCustomCallV2 XlaCallModule DatasetFromGraph
        DeserializeIterator
    """,
    "sends tensors to a debugger or to its files": """
        Copy CopyHost DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary
        DebugNumericSummaryV2
    """,
    "opens a network connection": """
        RpcClient RpcCall RpcCheckStatus RpcGetValue RpcServer RpcServerRegister RpcServerStart DeleteRpcFutureResource
        DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 RegisterDataset
        RegisterDatasetV2 WorkerHeartbeat
    """,
    "talks to another process or device": """
        RemoteCall Send Recv _Send _Recv _HostSend _HostRecv
        CollectiveAllToAllV2 CollectiveAllToAllV3 CollectiveAssignGroupV2 CollectiveBcastRecv CollectiveBcastRecvV2
        CollectiveBcastSend CollectiveBcastSendV2 CollectiveGather CollectiveGatherV2 CollectiveInitializeCommunicator
        CollectivePermute CollectiveReduce CollectiveReduceScatterV2 CollectiveReduceV2 CollectiveReduceV3
        NcclAllReduce NcclBroadcast NcclReduce _NcclBroadcastRecv _NcclBroadcastSend _NcclReduceRecv _NcclReduceSend
        XlaSend XlaRecv XlaSendToHost XlaRecvFromHost XlaHostCompute _XlaHostComputeMlir _XlaSendFromHost
        _XlaSendFromHostV2 _XlaRecvAtHost _XlaRecvAtHostV2
        DTensorAllGather DTensorAllReduce DTensorAllScatter DTensorAllToAll DTensorReduceScatter
    """,
    "drives a TPU system": """
        ConfigureDistributedTPU ConfigureAndInitializeGlobalTPU ConfigureTPUEmbedding ConfigureTPUEmbeddingHost
        ConfigureTPUEmbeddingMemory ConnectTPUEmbeddingHosts FinalizeTPUEmbedding FinalizeTPUEmbeddingV2
        DTensorSetGlobalTPUArray ShutdownDistributedTPU ShutdownTPUSystem UpdateTaskIdAndGlobalCoreArray
        _ConfigureDistributedTPU _DisconnectHostFromDistributedTPUSystem _InitializeHostForDistributedTPU
        _SetGlobalTPUArray _ShutdownDistributedTPU _WaitForDistributedTPU
        TPUCompile TPUExecute TPUExecuteAndUpdateVariables TPUPartitionedCall _TPUCompileMlir _TPUReplicate
        InfeedDequeue InfeedDequeueTuple InfeedEnqueue InfeedEnqueuePrelinearizedBuffer InfeedEnqueueTuple
        OutfeedDequeue OutfeedDequeueTuple OutfeedDequeueTupleV2 OutfeedDequeueV2 OutfeedEnqueue OutfeedEnqueueTuple
    """,
}

# op type -> what it does that a stranger's graph may not.
# Of these, what calls Python functions of the program that built the graph.
PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
UNSAFE_OPS: dict[str, str] = {op: reason for reason, ops in _GROUPS.items() for op in ops.split()}

# op type -> the attribute that decides, and the beginnings of its value that are harmless; None is the empty value.
# A NodeDef that lacks the attribute has its default, which is harmless for all four.
_HARMLESS_VALUES = {
    "PrintV2": ("output_stream", (b"stdout", b"stderr", b"log(")),
    "FixedUnigramCandidateSampler": ("vocab_file", None),
    "DecodeProtoV2": ("descriptor_source", (b"local://", b"bytes://")),
    "EncodeProto": ("descriptor_source", (b"local://", b"bytes://")),
}


def executed(index: GraphIndex, fetched: Iterable[str], fed: set[str]) -> set[str]:
    """The nodes that TensorFlow runs for the tensors or nodes `fetched` when the tensors `fed` are fed.

    A feed takes the place of one output of a node. A control input still makes the node run, and all before it; so
    does another of its outputs (RewriteGraphForExecution in tensorflow/core/graph/subgraph.cc spares placeholders
    without a default from that, which have nothing before them). Names that the graph lacks are left out.
    Args:
      fed: with their output's number, as `x:0`.
    """
    running: set[str] = set()
    waiting = [point for point in map(tensor_name, fetched) if "{}:{}".format(*point) not in fed]
    while waiting:
        name, _ = waiting.pop()
        if name in running or name not in index.nodes:
            continue
        running.add(name)
        waiting.extend(point for point in index.inputs[name] if "{}:{}".format(*point) not in fed)
        waiting.extend((source, 0) for source in index.controls[name])
    return running


# What a saver is there for.
RESTORING = ("RestoreV2", "RestoreSlice", "Restore")


def unsafe_to_restore(
    index: GraphIndex, restores: Iterable[str], filename: str, allowed: set[str]
) -> list[tuple[str, str, str]]:
    """As unsafe_nodes, for the run of what a saver restores by; its ops that read the checkpoint are not unsafe.

    Args:
      restores: the nodes that are run; none for a graph without a saver.
      filename: the tensor that is fed.
    """
    running = executed(index, restores, {filename})
    return [row for row in unsafe_nodes(index.graph_def, running, allowed) if row[1] not in RESTORING]


def unsafe_to_run(
    index: GraphIndex,
    fetched: Iterable[str],
    fed: set[str],
    initializers: Iterable[str],
    allowed: set[str],
    harmless: Collection[str] = (),
) -> list[tuple[str, str, str]]:
    """As unsafe_nodes, for runs of a graph: of the tensors `fetched` while `fed` are fed, and of each initializer.

    Args:
      harmless: nodes that do no harm, such as those that read a file which the model has.
    """
    # Initializers run by themselves, without a feed.
    running = executed(index, fetched, fed) | executed(index, initializers, set())
    return unsafe_nodes(index.graph_def, running.difference(harmless), allowed)


def unsafe_nodes(graph_def: GraphDef, names: Iterable[str], allowed: set[str]) -> list[tuple[str, str, str]]:
    """The nodes that a run would execute and that are not safe, as (node name, op type, reason).

    Library functions are walked from the nodes that call them: by an attribute, however deep, by a list of them, or
    by an op type that is a function's name. A node in a function is named `<function>/<node>`.
    Args:
      names: the nodes that the run reaches; names that the graph lacks are left out.
      allowed: op types that may run nevertheless.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    gradients = {gradient.function_name: gradient.gradient_func for gradient in graph_def.library.gradient}
    running = set(names)
    found, called = [], []

    def look_at(node: NodeDef, prefix: str) -> None:
        if node.op not in allowed and is_unsafe(node):
            found.append((prefix + node.name, node.op, UNSAFE_OPS[node.op]))
        called.append(node.op)
        for value in node.attr.values():
            called.extend(functions_in(value))

    for node in graph_def.node:
        if node.name in running:
            look_at(node, "")
    walked = set()
    while called:
        name = called.pop()
        if name in functions and name not in walked:
            walked.add(name)
            called.extend(implied_functions(functions[name], gradients))
            for node in functions[name].node_def:
                look_at(node, f"{name}/")
    return found


def is_unsafe(node: NodeDef) -> bool:
    """Whether the op of a NodeDef is unsafe with the attributes that it has."""
    if node.op not in UNSAFE_OPS:
        return False
    if node.op not in _HARMLESS_VALUES:
        return True
    attr, harmless = _HARMLESS_VALUES[node.op]
    if attr not in node.attr:
        return False
    value = node.attr[attr]
    if value.WhichOneof("value") != "s":
        return True
    return bool(value.s) if harmless is None else not value.s.startswith(harmless)
