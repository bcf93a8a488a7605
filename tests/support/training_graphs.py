"""Training graphs as people wrote them for TensorFlow 1; each function builds one in the default graph.

WANTED says for each which nodes a user of the model fetches, and which placeholders are fed for them. What else is fed
one value (a keep_prob, a flag) is not said; labels are not fed.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kinds import control_flow

v1 = tf.compat.v1
WANTED: dict[Callable[[], None], tuple[set[str], set[str]]] = {}


def model(outputs: str, inputs: str) -> Callable:
    """Registers a graph with the nodes that are wanted and those that may be fed, both separated by spaces."""

    def register(build: Callable[[], None]) -> Callable[[], None]:
        WANTED[build] = (set(outputs.split()), set(inputs.split()))
        return build

    return register


def get(name: str, shape: list[int], initializer=None, **options):
    initializer = initializer or v1.truncated_normal_initializer(stddev=0.3, seed=len(name))
    return v1.get_variable(name, shape, initializer=initializer, use_resource=False, **options)


def dense(x, units: int, scope: str, activation=None, names=("kernel", "bias")):
    """A layer as tf.layers, slim (weights, biases) and others build it: `<scope>/MatMul`, `<scope>/BiasAdd`."""
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
        w = get(names[0], [x.shape[-1], units])
        b = get(names[1], [units], v1.zeros_initializer())
        y = tf.nn.bias_add(tf.matmul(x, w, name="MatMul"), b, name="BiasAdd")
        return activation(y) if activation else y


def conv(x, filters: int, scope: str, size: int = 3, stride: int = 1, activation=tf.nn.relu):
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
        w = get("weights", [size, size, x.shape[-1], filters])
        b = get("biases", [filters], v1.zeros_initializer())
        y = tf.nn.bias_add(tf.nn.conv2d(x, w, stride, "SAME", name="Conv2D"), b, name="BiasAdd")
        return activation(y) if activation else y


def flat(x, name=None):
    return tf.reshape(x, [-1, int(np.prod(x.shape[1:]))], name=name)


def train(loss, optimizer=None, variables=None) -> None:
    step = v1.train.get_or_create_global_step()
    (optimizer or v1.train.AdamOptimizer(1e-3)).minimize(loss, global_step=step, var_list=variables)
    v1.summary.scalar("loss_summary", loss)
    v1.summary.merge_all()


def cross_entropy(labels, logits, name=None):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits), name=name)


@model("Predictions/Softmax Logits/BiasAdd", "images")
def slim_classifier() -> None:
    images = v1.placeholder(tf.float32, [None, 16, 16, 3], "images")
    labels = v1.placeholder(tf.int64, [None], "labels")
    x = conv(images, 4, "Conv2d_1a", stride=2)
    x = conv(x, 8, "Conv2d_1b", stride=2)
    x = flat(x, "Flatten/flatten/Reshape")
    logits = dense(x, 5, "Logits", names=("weights", "biases"))
    with v1.name_scope("Predictions"):
        tf.nn.softmax(logits, name="Softmax")
    loss = cross_entropy(labels, logits)
    v1.losses.add_loss(loss)
    for variable in v1.trainable_variables():
        v1.losses.add_loss(tf.nn.l2_loss(variable) * 1e-4)
    total = tf.add_n(v1.losses.get_losses(), name="total_loss")
    train(total, v1.train.RMSPropOptimizer(0.01))
    for variable in v1.trainable_variables():
        average = get(f"{variable.op.name}/ExponentialMovingAverage", variable.shape, trainable=False)
        v1.assign_sub(average, 0.01 * (average - variable))


@model("dense_2/Softmax", "input_1")
def keras_model() -> None:
    x = v1.placeholder(tf.float32, [None, 12], "input_1")
    phase = v1.placeholder_with_default(False, [], "keras_learning_phase")
    hidden = dense(x, 8, "dense_1", tf.nn.relu)
    with v1.name_scope("dropout_1"):
        hidden = v1.cond(phase, lambda: tf.nn.dropout(hidden, rate=0.5), lambda: hidden)
    hidden = tf.reshape(hidden, [-1, 8])
    with v1.variable_scope("dense_2"):
        w, b = get("kernel", [8, 3]), get("bias", [3], v1.zeros_initializer())
        probabilities = tf.nn.softmax(tf.nn.bias_add(tf.matmul(hidden, w), b), name="Softmax")
    target = v1.placeholder(tf.float32, [None, None], "dense_2_target")
    weights = v1.placeholder(tf.float32, [None], "dense_2_sample_weights")
    with v1.name_scope("loss/dense_2_loss"):
        clipped = tf.clip_by_value(probabilities / tf.reduce_sum(probabilities, -1, keepdims=True), 1e-7, 1 - 1e-7)
        loss = tf.reduce_mean(-tf.reduce_sum(target * tf.math.log(clipped), -1) * weights)
    with v1.name_scope("metrics/acc"):
        tf.reduce_mean(tf.cast(tf.equal(tf.argmax(target, -1), tf.argmax(probabilities, -1)), tf.float32))
    train(loss, v1.train.GradientDescentOptimizer(get("SGD/lr", [], v1.constant_initializer(0.1), trainable=False)))


@model("age/BiasAdd gender/Sigmoid", "face")
def keras_two_heads() -> None:
    x = v1.placeholder(tf.float32, [None, 8], "face")
    trunk = dense(x, 8, "trunk", tf.nn.relu)
    age = dense(trunk, 1, "age")
    with v1.variable_scope("gender"):
        gender = tf.nn.sigmoid(
            tf.nn.bias_add(tf.matmul(trunk, get("kernel", [8, 1])), get("bias", [1])), name="Sigmoid"
        )
    targets = [v1.placeholder(tf.float32, [None, 1], f"{name}_target") for name in ("age", "gender")]
    with v1.name_scope("loss"):
        first = tf.reduce_mean(tf.square(age - targets[0]))
        second = -tf.reduce_mean(targets[1] * tf.math.log(gender + 1e-7) + (1 - targets[1]) * tf.math.log(1 - gender))
        loss = first + 0.5 * second
    train(loss)


@model("FullyConnected_1/Softmax", "InputData/X")
def tflearn_dnn() -> None:
    with v1.name_scope("InputData"):
        x = v1.placeholder(tf.float32, [None, 20], "X")
    is_training = get("is_training", [], v1.constant_initializer(False), trainable=False, dtype=tf.bool)
    v1.add_to_collection("is_training", is_training)
    hidden = dense(x, 8, "FullyConnected", tf.nn.relu, ("W", "b"))
    with v1.name_scope("Dropout"):
        hidden = v1.cond(is_training, lambda: tf.nn.dropout(hidden, rate=0.5), lambda: hidden)
    hidden = tf.reshape(hidden, [-1, 8])
    with v1.variable_scope("FullyConnected_1"):
        y = tf.nn.softmax(tf.nn.bias_add(tf.matmul(hidden, get("W", [8, 4])), get("b", [4])), name="Softmax")
    with v1.name_scope("TargetsData"):
        target = v1.placeholder(tf.float32, [None, 4], "Y")
    with v1.name_scope("Crossentropy"):
        clipped = tf.clip_by_value(y / tf.reduce_sum(y, 1, keepdims=True), 1e-10, 1.0)
        loss = tf.reduce_mean(-tf.reduce_sum(target * tf.math.log(clipped), 1), name="Mean")
    with v1.name_scope("Accuracy"):
        tf.reduce_mean(tf.cast(tf.equal(tf.argmax(y, 1), tf.argmax(target, 1)), tf.float32), name="Mean")
    train(loss)


@model("dnn/head/predictions/probabilities", "IteratorGetNext")
def estimator_classifier() -> None:
    data = tf.data.Dataset.from_tensor_slices((np.ones([6, 4], np.float32), np.zeros([6], np.int64))).batch(2)
    x, labels = v1.data.make_one_shot_iterator(data).get_next()
    with v1.name_scope("dnn"):
        logits = dense(dense(x, 6, "dnn/hiddenlayer_0", tf.nn.relu), 3, "dnn/logits")
        with v1.name_scope("head"):
            with v1.name_scope("predictions"):
                tf.nn.softmax(logits, name="probabilities")
                classes = tf.argmax(logits, -1, name="class_ids")
                tf.as_string(classes, name="str_classes")
            with v1.name_scope("losses"):
                loss = cross_entropy(labels, logits)
            with v1.name_scope("metrics"):
                tf.reduce_mean(tf.cast(tf.equal(classes, labels), tf.float32), name="accuracy")
    train(loss, v1.train.AdagradOptimizer(0.05))


@model("Softmax", "Placeholder")
def mnist_for_beginners() -> None:
    x = v1.placeholder(tf.float32, [None, 784])
    w = v1.Variable(tf.zeros([784, 10]) + 0.1, use_resource=False)
    b = v1.Variable(tf.zeros([10]), use_resource=False)
    y = tf.nn.softmax(tf.matmul(x, w) + b)
    target = v1.placeholder(tf.float32, [None, 10])
    loss = tf.reduce_mean(-tf.reduce_sum(target * tf.math.log(y), [1]))
    train(loss, v1.train.GradientDescentOptimizer(0.5))
    correct = tf.equal(tf.argmax(y, 1), tf.argmax(target, 1))
    tf.reduce_mean(tf.cast(correct, tf.float32))


@model("prediction", "X")
def linear_regression() -> None:
    x, y = v1.placeholder(tf.float32, name="X"), v1.placeholder(tf.float32, name="Y")
    w, b = get("weight", []), get("bias", [], v1.constant_initializer(0.3))
    prediction = tf.add(tf.multiply(x, w), b, name="prediction")
    cost = tf.reduce_sum(tf.pow(prediction - y, 2)) / (2 * 17)
    train(cost, v1.train.GradientDescentOptimizer(0.01))


def lstm_step(x, h, c, scope="rnn/basic_lstm_cell"):
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
        kernel = get("kernel", [x.shape[-1] + h.shape[-1], 4 * h.shape[-1]])
        gates = tf.nn.bias_add(tf.matmul(tf.concat([x, h], 1), kernel), get("bias", [4 * h.shape[-1]]))
        i, j, f, o = tf.split(gates, 4, 1)
        c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
        return tf.tanh(c) * tf.sigmoid(o), c


@model("logits", "sequence")
def unrolled_lstm() -> None:
    x = v1.placeholder(tf.float32, [None, 5, 3], "sequence")
    y = v1.placeholder(tf.int64, [None], "y")
    h = c = tf.zeros([tf.shape(x)[0], 4])
    for step in tf.unstack(x, 5, 1):
        h, c = lstm_step(step, tf.reshape(h, [-1, 4]), c)
    logits = tf.add(tf.matmul(h, get("out/w", [4, 2])), get("out/b", [2]), name="logits")
    train(cross_entropy(y, logits, "cost"))
    tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32), name="accuracy")


@model("probs", "input_data")
def character_rnn() -> None:
    """Probabilities and the final state, which a sampler feeds back."""
    ids = v1.placeholder(tf.int32, [4, 6], "input_data")
    targets = v1.placeholder(tf.int32, [4, 6], "targets")
    h = v1.placeholder_with_default(tf.zeros([4, 5]), [4, 5], "state_h")
    c = v1.placeholder_with_default(tf.zeros([4, 5]), [4, 5], "state_c")
    outputs = []
    for step in tf.unstack(tf.gather(get("embedding", [9, 5]), ids), 6, 1):
        h, c = lstm_step(step, h, c)
        outputs.append(h)
    logits = dense(tf.reshape(tf.concat(outputs, 1), [-1, 5]), 9, "softmax")
    tf.nn.softmax(logits, name="probs")
    tf.stack([h, c], name="final_state")
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(targets, [-1]), logits=logits)
    cost = tf.reduce_sum(losses) / 4 / 6
    variables = v1.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(cost, variables), 5.0)
    rate = get("learning_rate", [], v1.constant_initializer(0.1), trainable=False)
    v1.train.AdamOptimizer(rate).apply_gradients(zip(gradients, variables, strict=True))


@model("dynamic/probabilities", "tokens lengths")
def dynamic_rnn() -> None:
    tokens = v1.placeholder(tf.int32, [None, None], "tokens")
    lengths = v1.placeholder(tf.int32, [None], "lengths")
    labels = v1.placeholder(tf.int64, [None], "labels")
    x = tf.transpose(tf.gather(get("embedding", [11, 4]), tokens), [1, 0, 2])
    batch, time = tf.shape(tokens)[0], tf.shape(tokens)[1]
    shapes = [tf.TensorShape([]), tf.TensorShape([None, 4])]
    with control_flow(1):
        array = tf.TensorArray(tf.float32, time).unstack(x)

        def step(t, h):
            new = tf.tanh(dense(tf.concat([tf.reshape(array.read(t), [-1, 4]), h], 1), 4, "rnn/cell"))
            return t + 1, tf.where(tf.expand_dims(t < lengths, 1), new, h)

        _, h = v1.while_loop(lambda t, h: t < time, step, [0, tf.zeros([batch, 4])], shape_invariants=shapes)
        logits = dense(tf.reshape(h, [-1, 4]), 2, "dynamic/logits")
        tf.nn.softmax(logits, name="dynamic/probabilities")
        train(cross_entropy(labels, logits))


@model("decoder/predictions", "encoder_inputs")
def seq2seq_with_two_decoders() -> None:
    """The training decoder is fed the targets; the inference decoder its own words, with the same weights."""
    source = v1.placeholder(tf.int32, [None, 4], "encoder_inputs")
    target = v1.placeholder(tf.int32, [None, 3], "decoder_targets")
    table = get("embedding", [8, 5])
    h = c = tf.zeros([tf.shape(source)[0], 5])
    for step in tf.unstack(tf.gather(table, source), 4, 1):
        h, c = lstm_step(step, tf.reshape(h, [-1, 5]), c, "encoder/cell")

    def project(h):
        return dense(h, 8, "decoder/projection")

    state, logits = (h, c), []
    shifted = tf.concat([tf.zeros_like(target[:, :1]), target[:, :-1]], 1)
    for step in tf.unstack(tf.gather(table, shifted), 3, 1):
        state = lstm_step(step, *state, "decoder/cell")
        logits.append(project(state[0]))
    loss = cross_entropy(target, tf.stack(logits, 1))
    state, word, words = (h, c), tf.zeros([tf.shape(source)[0]], tf.int32), []
    for _ in range(3):
        state = lstm_step(tf.reshape(tf.gather(table, word), [-1, 5]), *state, "decoder/cell")
        word = tf.cast(tf.argmax(project(state[0]), 1), tf.int32)
        words.append(word)
    tf.stack(words, 1, name="decoder/predictions")
    train(loss)


@model("generator/Tanh discriminator/Sigmoid", "z real")
def gan() -> None:
    z = v1.placeholder(tf.float32, [None, 6], "z")
    real = v1.placeholder(tf.float32, [None, 8], "real")

    def discriminate(x):
        with v1.variable_scope("discriminator", reuse=v1.AUTO_REUSE):
            logits = dense(dense(x, 6, "hidden", tf.nn.leaky_relu), 1, "out")
            return tf.nn.sigmoid(logits, name="Sigmoid"), logits

    with v1.variable_scope("generator"):
        fake = tf.nn.tanh(dense(dense(z, 8, "hidden", tf.nn.relu), 8, "out"), name="Tanh")
    _, on_real = discriminate(real)
    _, on_fake = discriminate(fake)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    d_loss = tf.reduce_mean(entropy(logits=on_real, labels=tf.ones_like(on_real))) + tf.reduce_mean(
        entropy(logits=on_fake, labels=tf.zeros_like(on_fake))
    )
    g_loss = tf.reduce_mean(entropy(logits=on_fake, labels=tf.ones_like(on_fake)))
    train(d_loss, variables=v1.trainable_variables("discriminator"))
    train(g_loss, variables=v1.trainable_variables("generator"))


@model("generator/out/BiasAdd critic/out/BiasAdd", "noise real_data")
def wasserstein_gan() -> None:
    """A critic without a sigmoid, and weights that are clipped."""
    noise = v1.placeholder(tf.float32, [None, 4], "noise")
    real = v1.placeholder(tf.float32, [None, 6], "real_data")

    def criticize(x):
        with v1.variable_scope("critic", reuse=v1.AUTO_REUSE):
            return dense(dense(x, 5, "hidden", tf.nn.relu), 1, "out")

    with v1.variable_scope("generator"):
        fake = dense(dense(noise, 5, "hidden", tf.nn.relu), 6, "out")
    loss = tf.reduce_mean(criticize(fake)) - tf.reduce_mean(criticize(real))
    critic, generator = v1.trainable_variables("critic"), v1.trainable_variables("generator")
    train(loss, v1.train.RMSPropOptimizer(5e-5), critic)
    train(-tf.reduce_mean(criticize(fake)), v1.train.RMSPropOptimizer(5e-5), generator)
    for variable in critic:
        v1.assign(variable, tf.clip_by_value(variable, -0.01, 0.01))


@model("encoder/mean/BiasAdd decoder/Sigmoid", "x")
def variational_autoencoder() -> None:
    x = v1.placeholder(tf.float32, [None, 9], "x")
    with v1.variable_scope("encoder"):
        hidden = dense(x, 6, "hidden", tf.nn.softplus)
        mean, log_variance = dense(hidden, 2, "mean"), dense(hidden, 2, "log_variance")
    z = mean + tf.exp(log_variance / 2) * v1.random_normal(tf.shape(mean))
    with v1.variable_scope("decoder"):
        logits = dense(dense(z, 6, "hidden", tf.nn.softplus), 9, "out")
        decoded = tf.nn.sigmoid(logits, name="Sigmoid")
    reconstruction = -tf.reduce_sum(x * tf.math.log(1e-9 + decoded) + (1 - x) * tf.math.log(1e-9 + 1 - decoded), 1)
    latent = -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), 1)
    train(tf.reduce_mean(reconstruction + latent))


@model("decode/BiasAdd", "signal")
def autoencoder() -> None:
    x = v1.placeholder(tf.float32, [None, 9], "signal")
    noisy = x + 0.1 * v1.random_normal(tf.shape(x))
    decoded = dense(dense(noisy, 4, "encode", tf.nn.relu), 9, "decode")
    train(tf.sqrt(tf.reduce_mean(tf.square(decoded - x))))


@model("global/policy/Softmax global/value/BiasAdd", "global/state worker_0/state")
def actor_critic() -> None:
    for scope in ("global", "worker_0"):
        with v1.variable_scope(scope):
            state = v1.placeholder(tf.float32, [None, 4], "state")
            action, reward = v1.placeholder(tf.int32, [None], "actions"), v1.placeholder(tf.float32, [None], "returns")
            advantage = v1.placeholder(tf.float32, [None], "advantages")
            hidden = dense(state, 8, "hidden", tf.nn.relu6)
            with v1.variable_scope("policy"):
                logits = tf.nn.bias_add(tf.matmul(hidden, get("w", [8, 3])), get("b", [3]))
                policy = tf.nn.softmax(logits, name="Softmax")
            value = dense(hidden, 1, "value")
            with v1.name_scope("loss"):
                chosen = tf.reduce_sum(policy * tf.one_hot(action, 3), 1)
                policy_loss = -tf.reduce_sum(tf.math.log(chosen + 1e-6) * advantage)
                entropy = -tf.reduce_sum(policy * tf.math.log(policy + 1e-6))
                value_loss = tf.reduce_sum(tf.square(reward - tf.reshape(value, [-1])))
                loss = 0.5 * value_loss + policy_loss - 0.01 * entropy
            variables = v1.trainable_variables(scope)
            gradients = tf.gradients(loss, variables)
            v1.train.RMSPropOptimizer(1e-3, name=f"{scope}_opt").apply_gradients(zip(gradients, variables, strict=True))


@model("eval_net/q/BiasAdd", "s s_")
def deep_q_network() -> None:
    s, s_next = v1.placeholder(tf.float32, [None, 4], "s"), v1.placeholder(tf.float32, [None, 4], "s_")
    target = v1.placeholder(tf.float32, [None, 2], "Q_target")
    with v1.variable_scope("eval_net"):
        q = dense(dense(s, 8, "l1", tf.nn.relu), 2, "q")
    with v1.variable_scope("target_net"):
        dense(dense(s_next, 8, "l1", tf.nn.relu), 2, "q")
    with v1.variable_scope("loss"):
        loss = tf.reduce_mean(v1.squared_difference(target, q))
    train(loss, v1.train.RMSPropOptimizer(0.01), v1.trainable_variables("eval_net"))
    for old, new in zip(v1.global_variables("target_net"), v1.trainable_variables("eval_net"), strict=True):
        v1.assign(old, new)


@model("actor/scaled critic/q/BiasAdd", "state next_state")
def deterministic_policy_gradient() -> None:
    state, reward = v1.placeholder(tf.float32, [None, 3], "state"), v1.placeholder(tf.float32, [None, 1], "reward")
    following = v1.placeholder(tf.float32, [None, 3], "next_state")

    def act(x, scope):
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
            return tf.multiply(tf.tanh(dense(dense(x, 6, "l1", tf.nn.relu), 1, "mu")), 2.0, name="scaled")

    def judge(x, a, scope):
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
            return dense(tf.nn.relu(dense(x, 6, "s") + dense(a, 6, "a")), 1, "q")

    action = act(state, "actor")
    q = judge(state, action, "critic")
    q_next = judge(following, act(following, "actor_target"), "critic_target")
    error = tf.reduce_mean(tf.square(reward + 0.9 * tf.stop_gradient(q_next) - q))
    train(error, variables=v1.trainable_variables("critic/"))
    train(-tf.reduce_mean(q), variables=v1.trainable_variables("actor/"))


@model("mu/BiasAdd value/BiasAdd", "observation")
def proximal_policy() -> None:
    x = v1.placeholder(tf.float32, [None, 5], "observation")
    taken, old = v1.placeholder(tf.float32, [None, 2], "action"), v1.placeholder(tf.float32, [None], "old_log_prob")
    advantage, target = v1.placeholder(tf.float32, [None], "adv"), v1.placeholder(tf.float32, [None], "return")
    hidden = dense(x, 8, "pi", tf.tanh)
    mu, deviation = dense(hidden, 2, "mu"), tf.exp(get("log_std", [2], v1.constant_initializer(-0.5)))
    value = dense(dense(x, 8, "vf", tf.tanh), 1, "value")
    log_prob = -0.5 * tf.reduce_sum(tf.square((taken - mu) / deviation) + 2 * tf.math.log(deviation), 1)
    ratio = tf.exp(log_prob - old)
    clipped = tf.minimum(ratio * advantage, tf.clip_by_value(ratio, 0.8, 1.2) * advantage)
    loss = -tf.reduce_mean(clipped) + tf.reduce_mean(tf.square(target - tf.squeeze(value, 1)))
    train(loss)


def embed(x):
    return dense(dense(x, 8, "net/fc1", tf.nn.relu), 3, "net/fc2")


@model("left/embedding right/embedding", "x1 x2")
def siamese() -> None:
    x1, x2 = v1.placeholder(tf.float32, [None, 7], "x1"), v1.placeholder(tf.float32, [None, 7], "x2")
    y = v1.placeholder(tf.float32, [None], "y")
    one, two = tf.identity(embed(x1), "left/embedding"), tf.identity(embed(x2), "right/embedding")
    distance = tf.sqrt(tf.reduce_sum(tf.square(one - two), 1) + 1e-6)
    loss = tf.reduce_mean(y * tf.square(distance) + (1 - y) * tf.square(tf.maximum(1.0 - distance, 0)))
    train(loss, v1.train.MomentumOptimizer(0.01, 0.9))


@model("normalized", "faces")
def triplets() -> None:
    """One network; anchors, positives and negatives lie in one batch."""
    x = v1.placeholder(tf.float32, [None, 7], "faces")
    embedding = tf.math.l2_normalize(embed(x), 1, name="normalized")
    anchor, positive, negative = tf.unstack(tf.reshape(embedding, [-1, 3, 3]), 3, 1)
    near = tf.reduce_sum(tf.square(anchor - positive), 1)
    far = tf.reduce_sum(tf.square(anchor - negative), 1)
    train(tf.reduce_mean(tf.maximum(near - far + 0.2, 0.0)))


@model("logits transitions", "words")
def tagger_with_crf() -> None:
    """Viterbi decoding happens outside of the graph, and needs the transition matrix."""
    words, tags = v1.placeholder(tf.int32, [None, 4], "words"), v1.placeholder(tf.int32, [None, 4], "tags")
    x = tf.reshape(tf.gather(get("embedding", [9, 6]), words), [-1, 6])
    scores = tf.reshape(dense(x, 3, "proj"), [-1, 4, 3], name="logits")
    transitions = get("transitions", [3, 3])
    alpha = scores[:, 0]
    gold = tf.reduce_sum(scores * tf.one_hot(tags, 3), [1, 2])
    for t in range(1, 4):
        alpha = tf.reduce_logsumexp(tf.expand_dims(alpha, 2) + transitions, 1) + scores[:, t]
        gold += tf.gather_nd(transitions, tf.stack([tags[:, t - 1], tags[:, t]], 1))
    train(tf.reduce_mean(tf.reduce_logsumexp(alpha, 1) - gold, name="crf_loss"))


@model("boxes/BiasAdd classes/Softmax", "image")
def detector() -> None:
    image = v1.placeholder(tf.float32, [None, 16, 16, 3], "image")
    boxes_true, classes_true = (
        v1.placeholder(tf.float32, [None, 64], "gt_boxes"),
        v1.placeholder(tf.int64, [None], "gt"),
    )
    features = flat(conv(conv(image, 4, "c1", stride=2), 4, "c2", stride=4))
    boxes = dense(features, 64, "boxes")
    with v1.variable_scope("classes"):
        logits = tf.nn.bias_add(tf.matmul(features, get("w", [16, 5])), get("b", [5]))
        tf.nn.softmax(logits, name="Softmax")
    difference = tf.abs(boxes - boxes_true)
    smooth = tf.where(difference < 1, 0.5 * tf.square(difference), difference - 0.5)
    train(
        tf.reduce_mean(tf.reduce_sum(smooth, 1)) + cross_entropy(classes_true, logits),
        v1.train.MomentumOptimizer(0.1, 0.9),
    )


@model("prediction", "image")
def segmentation() -> None:
    image = v1.placeholder(tf.float32, [None, 16, 16, 3], "image")
    annotation = v1.placeholder(tf.int32, [None, 16, 16, 1], "annotation")
    keep = v1.placeholder(tf.float32, name="keep_probability")
    down = conv(image, 4, "down", stride=2)
    down = tf.nn.dropout(down, rate=1 - keep)
    up = v1.image.resize_nearest_neighbor(down, [16, 16])
    logits = conv(tf.concat([up, image], 3), 5, "up", activation=None)
    tf.expand_dims(tf.argmax(logits, 3), 3, name="prediction")
    train(cross_entropy(tf.squeeze(annotation, [3]), logits, "entropy"))


@model("transform/Tanh", "content")
def image_to_image() -> None:
    content = v1.placeholder(tf.float32, [1, None, None, 3], "content")
    target = v1.placeholder(tf.float32, [1, None, None, 3], "target")
    x = conv(conv(content, 4, "t1"), 4, "t2")
    x = tf.nn.tanh(conv(x, 3, "t3", activation=None), name="transform/Tanh")
    shape = tf.cast(tf.size(x), tf.float32)
    variation = tf.nn.l2_loss(x[:, 1:] - x[:, :-1]) + tf.nn.l2_loss(x[:, :, 1:] - x[:, :, :-1])
    train(2 * tf.nn.l2_loss(x - target) / shape + 1e-4 * variation)


@model("logits CTCGreedyDecoder", "inputs seq_len")
def speech_with_ctc() -> None:
    x = v1.placeholder(tf.float32, [None, None, 5], "inputs")
    targets, lengths = v1.sparse_placeholder(tf.int32, name="targets"), v1.placeholder(tf.int32, [None], "seq_len")
    shape = tf.shape(x)
    hidden = tf.reshape(dense(tf.reshape(x, [-1, 5]), 6, "hidden", tf.nn.relu), [-1, 6])
    logits = tf.transpose(tf.reshape(dense(hidden, 4, "out"), [shape[0], -1, 4]), [1, 0, 2], name="logits")
    loss = tf.reduce_mean(v1.nn.ctc_loss(targets, logits, lengths))
    train(loss, v1.train.MomentumOptimizer(0.01, 0.9))
    decoded, _ = tf.nn.ctc_greedy_decoder(logits, lengths)
    tf.reduce_mean(v1.edit_distance(tf.cast(decoded[0], tf.int32), targets), name="label_error_rate")


@model("output/scores output/predictions", "input_x")
def text_cnn() -> None:
    x, y = v1.placeholder(tf.int32, [None, 9], "input_x"), v1.placeholder(tf.float32, [None, 2], "input_y")
    keep = v1.placeholder(tf.float32, name="dropout_keep_prob")
    words = tf.expand_dims(tf.gather(get("embedding/W", [12, 5]), x), -1)
    pooled = []
    for size in (3, 4):
        h = tf.nn.relu(tf.nn.conv2d(words, get(f"conv-{size}/W", [size, 5, 1, 2]), 1, "VALID"))
        pooled.append(tf.nn.max_pool2d(h, [1, 10 - size, 1, 1], 1, "VALID"))
    hidden = tf.nn.dropout(tf.reshape(tf.concat(pooled, 3), [-1, 4]), rate=1 - keep)
    with v1.name_scope("output"):
        w, b = get("output/W", [4, 2]), get("output/b", [2])
        scores = v1.nn.xw_plus_b(hidden, w, b, name="scores")
        predictions = tf.argmax(scores, 1, name="predictions")
    with v1.name_scope("loss"):
        losses = tf.nn.softmax_cross_entropy_with_logits(logits=scores, labels=y)
        loss = tf.reduce_mean(losses) + 0.1 * (tf.nn.l2_loss(w) + tf.nn.l2_loss(b))
    with v1.name_scope("accuracy"):
        tf.reduce_mean(tf.cast(tf.equal(predictions, tf.argmax(y, 1)), tf.float32), name="accuracy")
    train(loss)


@model("alphas prediction", "document")
def attention() -> None:
    x, y = v1.placeholder(tf.int32, [None, 6], "document"), v1.placeholder(tf.float32, [None], "target")
    words = tf.gather(get("embedding", [10, 4]), x)
    u = tf.tanh(tf.tensordot(words, get("w_omega", [4, 3]), 1) + get("b_omega", [3]))
    alphas = tf.nn.softmax(tf.tensordot(u, get("u_omega", [3]), 1), name="alphas")
    summed = tf.reshape(tf.reduce_sum(words * tf.expand_dims(alphas, -1), 1), [-1, 4])
    logits = tf.squeeze(dense(summed, 1, "fc"), 1)
    tf.sigmoid(logits, name="prediction")
    train(tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=y)))


@model("rating", "user item")
def matrix_factorization() -> None:
    user, item = v1.placeholder(tf.int32, [None], "user"), v1.placeholder(tf.int32, [None], "item")
    rating = v1.placeholder(tf.float32, [None], "true_rating")
    p, q = tf.gather(get("P", [8, 3]), user), tf.gather(get("Q", [6, 3]), item)
    bias = tf.gather(get("bu", [8]), user) + tf.gather(get("bi", [6]), item) + get("mu", [])
    predicted = tf.add(tf.reduce_sum(p * q, 1), bias, name="rating")
    train(tf.reduce_mean(tf.square(rating - predicted)) + 0.01 * (tf.nn.l2_loss(p) + tf.nn.l2_loss(q)))


@model("inference/probabilities", "images")
def training_and_inference_copy() -> None:
    """The input pipeline feeds the training copy; a placeholder the copy for inference, of the same weights."""
    queue = v1.FIFOQueue(10, [tf.float32, tf.int64], shapes=[[6], []])
    x, labels = queue.dequeue_many(4)

    def network(x, is_training):
        hidden = dense(x, 8, "hidden", tf.nn.relu)
        return dense(tf.nn.dropout(hidden, rate=0.4) if is_training else hidden, 3, "logits")

    train(cross_entropy(labels, network(x, True)))
    images = v1.placeholder(tf.float32, [None, 6], "images")
    tf.nn.softmax(network(images, False), name="inference/probabilities")


@model("tower_0/logits/BiasAdd", "x")
def two_towers_on_two_devices() -> None:
    x, y = v1.placeholder(tf.float32, [None, 6], "x"), v1.placeholder(tf.int64, [None], "y")
    losses = []
    for tower in range(2):
        with v1.name_scope(f"tower_{tower}"), tf.device("/cpu:0"):
            half = x[tower::2]
            with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
                logits = dense(dense(half, 8, "hidden", tf.nn.relu), 3, "logits")
            losses.append(cross_entropy(y[tower::2], logits))
    train(tf.add_n(losses) / 2)


@model("fc/BiasAdd", "images")
def batch_normalised_network() -> None:
    images, labels = v1.placeholder(tf.float32, [None, 8, 8, 1], "images"), v1.placeholder(tf.int64, [None], "labels")
    training = v1.placeholder(tf.bool, [], "phase_train")
    x = conv(images, 4, "conv1", activation=None)
    gamma, beta = get("bn/gamma", [4], v1.ones_initializer()), get("bn/beta", [4], v1.zeros_initializer())
    mean = get("bn/moving_mean", [4], v1.zeros_initializer(), trainable=False)
    variance = get("bn/moving_variance", [4], v1.ones_initializer(), trainable=False)

    def batch():
        m, v = tf.nn.moments(x, [0, 1, 2])
        with tf.control_dependencies(
            [v1.assign(mean, mean * 0.9 + m * 0.1), v1.assign(variance, variance * 0.9 + v * 0.1)]
        ):
            return tf.identity(m), tf.identity(v)

    with control_flow(1):
        m, v = v1.cond(training, batch, lambda: (tf.identity(mean), tf.identity(variance)))
    x = tf.nn.relu(tf.nn.batch_normalization(x, m, v, beta, gamma, 1e-3))
    logits = dense(flat(x), 5, "fc")
    train(cross_entropy(labels, logits))


@model("output_node", "image_input")
def renamed_for_export() -> None:
    x = v1.placeholder(tf.float32, [None, 10], "image_input")
    y = v1.placeholder(tf.float32, [None, 3], "truth")
    mean, deviation = tf.constant(np.full(10, 0.4, np.float32)), tf.constant(np.full(10, 0.2, np.float32))
    logits = dense(dense((x - mean) / deviation, 8, "fc1", tf.nn.elu), 3, "fc2")
    tf.identity(tf.nn.softmax(logits), name="output_node")
    train(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y)))


@model("linear_plus_deep/probability", "wide deep_ids")
def wide_and_deep() -> None:
    wide, ids = v1.placeholder(tf.float32, [None, 6], "wide"), v1.placeholder(tf.int64, [None, 2], "deep_ids")
    clicked = v1.placeholder(tf.float32, [None, 1], "clicked")
    deep = tf.reshape(tf.gather(get("deep/embedding", [20, 3]), ids), [-1, 6])
    logits = dense(wide, 1, "linear") + dense(dense(deep, 5, "deep/h", tf.nn.relu), 1, "deep/out")
    probability = tf.sigmoid(logits, name="linear_plus_deep/probability")
    loss = v1.losses.log_loss(clicked, probability)
    train(loss, v1.train.FtrlOptimizer(0.1))
    with v1.name_scope("eval"):
        tf.reduce_mean(tf.cast(tf.equal(tf.round(probability), clicked), tf.float32), name="accuracy")
