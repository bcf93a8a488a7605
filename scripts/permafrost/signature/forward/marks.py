"""The ops and names by which the parts of a training graph are told: layers, heads, losses, metrics, gradients."""

import re

# Values end here: what these ops write, save, show or check is no output of a network.
SINKS = re.compile(
    r"^(Resource(Sparse)?Apply.*|(Sparse)?Apply.*|Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max)|ResourceScatter.*"
    r"|Save(V2|Slices)?|.*Summary(V2)?|Queue(Enqueue|Close|Size).*|PyFunc(Stateless)?|EagerPyFunc|PrintV2|Assert"
    r"|NoOp|(Var)?IsVariableInitialized(Op)?|VarIsInitializedOp|Write.*|.*Barrier.*|Accumulator.*|Stage)$"
)
UPDATES = re.compile(r"^(Assign(Add|Sub)?(VariableOp)?|(Resource)?Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max))$")
# These hand on a value, or end one where nothing takes it.
ENDING = re.compile(rf"{UPDATES.pattern}|^Print$")
STATISTICS = ("AssignAdd", "AssignSub", "AssignAddVariableOp", "AssignSubVariableOp")
# What comes out depends on the shape of what goes in, not on its values.
SHAPE_OPS = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
LOSSES = re.compile(r"^(.*CrossEntropyWithLogits|CTCLoss(V2)?|L2Loss|InTopK(V2)?|EditDistance)$")
LOSS_OPS = {"SparseSoftmaxCrossEntropyWithLogits", "SoftmaxCrossEntropyWithLogits"}
METRIC_ENDS = re.compile(r"^(Equal|NotEqual|ApproximateEqual|SquaredDifference|LogicalAnd)$")
REDUCTIONS = {"Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "L2Loss"}
# Ops that make the network's last result of what its last layer gives: probabilities, or a choice.
PROBABILITIES = {"Softmax", "LogSoftmax", "Sigmoid"}
CHOICES = {"ArgMax", "ArgMin", "TopK", "TopKV2", "Round", "Multinomial"}
HEADS = PROBABILITIES | CHOICES | {"CTCGreedyDecoder", "CTCBeamSearchDecoder"}
SUMS = {"Add", "AddV2", "BiasAdd"}  # by which a bias is added, and much else
ACTIVATIONS = {"Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Softsign"}
_POOLS = {
    "MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "LRN", "Pad", "PadV2", "MirrorPad", "ResizeBilinear",
    "ResizeNearestNeighbor", "DepthToSpace", "SpaceToDepth",
}  # fmt: skip
# A loss or a metric that converts a result uses that result; the conversion is none of its own.
PASSED = {"Cast", "StopGradient"}
OF_NORMS = {"Rsqrt", "Sqrt", "Maximum", "Sum", "Square", "Mul", "AddV2", "Add", "Abs", "Max", "Identity"}
_SELECTIONS = {"TopK", "TopKV2", "Round"}  # Heads after a layer; elsewhere, losses select their hard examples so.
# Ops that hand on values, in another shape, order or dtype.
STRUCTURAL = {
    "Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Cast", "StridedSlice", "Slice", "Pack", "Unpack",
    "Concat", "ConcatV2", "Split", "SplitV", "StopGradient", "CheckNumerics", "IdentityN", "BatchToSpaceND",
}  # fmt: skip
FOLLOWING = STRUCTURAL | ACTIVATIONS | _POOLS | _SELECTIONS  # What may follow a layer and still be its result.
# What losses do to a result before they compare it with labels.
LOSS_SIDE = {"Log", "Log1p", "Neg", "Maximum", "Minimum", "ClipByValue", "Square", "Sqrt", "Pow", "Exp", "Softplus"}
NO_WEIGHT = re.compile(r"(^|/)(global_step|(val_|training_)?step|epoch)(/part_\d+)?$", re.IGNORECASE)
# A conditional random field's scores from one label to the next: its loss and its decoder take them, no layer does.
TRANSITIONS = re.compile(r"(^|/)transitions?(_(matrix|params|weights))?(_\d+)?$", re.IGNORECASE)
# What a parameter does to a layer's result only in a loss, as a deviation does to a distance.
NO_LAYER = {"Sub", "Div", "RealDiv", "SquaredDifference", "Pow", "Maximum", "Minimum"}
GRADIENTS = re.compile(r"(^|/)gradients(_\d+)?/")
# Names that TensorFlow gives inside its own functions, and people to the scopes of losses.
INTERNAL = re.compile(r"(^|/)(control_dependency|group_deps|read)(_\d+)?$|cross_?entropy|loss(es)?(_\d+)?/", re.I)
MASKS = re.compile(r"(^|/)boolean_mask(_\d+)?/")
METRIC_SCOPES = re.compile(r"(^|/)(confusion_matrix|metrics?|accuracy|eval\w*)(_\d+)?(/|$)", re.IGNORECASE)
