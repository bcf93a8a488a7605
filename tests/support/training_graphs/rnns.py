"""Recurrent networks by the functions that TensorFlow had for them: dynamic_rnn, map_fn, loops; with states fed."""

import tensorflow as tf

from kinds import control_flow
from training_graphs.layers import LSTM, dense, get, lstm_step, model, train, v1, variable


class Projected(LSTM):
    """A cell in an OutputProjectionWrapper: the layer is inside of the loop."""

    def __init__(self, units: int, size: int):
        super().__init__(units)
        self.size = size

    @property
    def output_size(self):
        return self.size

    def __call__(self, x, state, scope=None):
        h, state = super().__call__(x, state)
        return tf.matmul(h, get("kernel", [self.units, self.size])) + get("bias", [self.size]), state


@model("rnn/transpose_1", "Placeholder")
def projection_inside_of_the_loop() -> None:
    """What dynamic_rnn gives is the prediction; the last op is its transpose."""
    n_steps, n_inputs, n_outputs = 5, 1, 1
    X = v1.placeholder(tf.float32, [None, n_steps, n_inputs])
    y = v1.placeholder(tf.float32, [None, n_steps, n_outputs])
    with control_flow(1):
        outputs, states = v1.nn.dynamic_rnn(Projected(6, n_outputs), X, dtype=tf.float32)
        loss = tf.reduce_mean(tf.square(outputs - y))
        v1.train.AdamOptimizer(learning_rate=0.001).minimize(loss)
    v1.train.Saver()


@model("map/TensorArrayStack/TensorArrayGatherV3", "input_x x_len")
def last_outputs_by_map_fn() -> None:
    """Each row's output at its own last step is picked by map_fn, and is the code of the sentence."""
    x, x_len = v1.placeholder(tf.int32, [None, 6], "input_x"), v1.placeholder(tf.int32, [None], "x_len")
    neighbours = v1.placeholder(tf.float32, [None, 5], "input_y")
    embedded = tf.nn.embedding_lookup(variable(v1.random_uniform([12, 4], -1, 1), name="emb"), x)
    with control_flow(1):
        outputs, _ = v1.nn.dynamic_rnn(LSTM(5), embedded, sequence_length=x_len, dtype=tf.float32)
        code = tf.map_fn(lambda t: tf.gather(t[0], t[1] - 1), (outputs, x_len), dtype=tf.float32)
        loss = tf.reduce_mean(tf.reduce_sum(tf.square(code - neighbours), 1))
        v1.train.AdamOptimizer().minimize(loss)


@model("Softmax", "Placeholder")
def last_output_by_gather() -> None:
    """Bits are counted: the last output is gathered after a transpose; the error is named as nothing else."""
    data, target = v1.placeholder(tf.float32, [None, 7, 1]), v1.placeholder(tf.float32, [None, 8])
    with control_flow(1):
        val, state = v1.nn.dynamic_rnn(LSTM(6), data, dtype=tf.float32)
        val = tf.transpose(val, [1, 0, 2])
        last = tf.gather(val, int(val.get_shape()[0]) - 1)
        weight = variable(v1.truncated_normal([6, int(target.get_shape()[1])]))
        bias = variable(tf.constant(0.1, shape=[target.get_shape()[1]]))
        prediction = tf.nn.softmax(tf.matmul(last, weight) + bias)
        cross = -tf.reduce_sum(target * tf.math.log(tf.clip_by_value(prediction, 1e-10, 1.0)))
        v1.train.AdamOptimizer().minimize(cross)
    mistakes = tf.not_equal(tf.argmax(target, 1), tf.argmax(prediction, 1))
    tf.reduce_mean(tf.cast(mistakes, tf.float32))


@model("Test/Model/probs Test/Model/final_c Test/Model/final_h", "Test/Model/ids Test/Model/c Test/Model/h")
def language_model_in_two_copies() -> None:
    """One copy learns on batches, with dropout; the other reads word by word, and is fed its own state."""

    def build(batch, steps, training):
        ids = v1.placeholder(tf.int32, [batch, steps], "ids")
        targets = v1.placeholder(tf.int32, [batch, steps], "targets")
        c, h = v1.placeholder(tf.float32, [batch, 6], "c"), v1.placeholder(tf.float32, [batch, 6], "h")
        inputs = tf.gather(get("embedding", [10, 6]), ids)
        if training:
            inputs = tf.nn.dropout(inputs, rate=0.3)
        outputs = []
        for step in range(steps):
            h, c = lstm_step(inputs[:, step], h, c, "RNN/cell")
            outputs.append(h)
        output = tf.reshape(tf.concat(outputs, 1), [-1, 6])
        logits = tf.matmul(output, get("softmax_w", [6, 10])) + get("softmax_b", [10])
        tf.nn.softmax(logits, name="probs")
        tf.identity(c, "final_c"), tf.identity(h, "final_h")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(targets, [-1]), logits=logits)
        cost = tf.reduce_sum(losses) / batch
        if training:
            tvars = v1.trainable_variables()
            grads, _ = tf.clip_by_global_norm(tf.gradients(cost, tvars), 5)
            optimizer = v1.train.GradientDescentOptimizer(get("lr", [], trainable=False))
            optimizer.apply_gradients(zip(grads, tvars, strict=True), v1.train.get_or_create_global_step())

    with v1.name_scope("Train"), v1.variable_scope("Model"):
        build(4, 5, True)
    with v1.name_scope("Test"), v1.variable_scope("Model", reuse=True):
        build(1, 1, False)


@model("Softmax Tanh_3", "Placeholder Placeholder_2")
def character_rnn_by_hand() -> None:
    """A plain cell unrolled over one-hot letters; the last state is fetched, to be fed again."""
    vocab, hidden = 7, 6
    inputs = v1.placeholder(tf.float32, [None, vocab])
    targets = v1.placeholder(tf.float32, [None, vocab])
    init_state = v1.placeholder(tf.float32, [1, hidden])
    initializer = v1.random_normal_initializer(stddev=0.1)
    hs_t, ys = init_state, []
    with v1.variable_scope("RNN"):
        Wxh, Whh = get("Wxh", [vocab, hidden], initializer), get("Whh", [hidden, hidden], initializer)
        Why, bh = get("Why", [hidden, vocab], initializer), get("bh", [hidden], initializer)
        by = get("by", [vocab], initializer)
    for xs_t in tf.split(inputs[:4], 4, 0):
        hs_t = tf.tanh(tf.matmul(xs_t, Wxh) + tf.matmul(hs_t, Whh) + bh)
        ys.append(tf.matmul(hs_t, Why) + by)
    tf.nn.softmax(ys[-1])
    outputs = tf.concat(ys, 0)
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=outputs, labels=targets))
    minimizer = v1.train.AdamOptimizer()
    clipped = [(tf.clip_by_value(g, -5.0, 5.0), v) for g, v in minimizer.compute_gradients(loss)]
    minimizer.apply_gradients(clipped)


@model("fc/predictions", "series")
def loop_and_cond_as_functions() -> None:
    """A gated cell in a While that is a function, and an If that takes the last state or the mean of all."""
    series, target = v1.placeholder(tf.float32, [None, 6, 2], "series"), v1.placeholder(tf.float32, [None, 1], "target")
    use_last = v1.placeholder(tf.bool, [], "use_last")

    def weights(name, shape):
        return v1.get_variable(name, shape, initializer=v1.glorot_uniform_initializer(), use_resource=True)

    gates, gates_b = weights("gru/gates/kernel", [7, 10]), weights("gru/gates/bias", [1, 10])
    candidate, candidate_b = weights("gru/candidate/kernel", [7, 5]), weights("gru/candidate/bias", [1, 5])
    with control_flow(2):
        array = tf.TensorArray(tf.float32, 6).unstack(tf.transpose(series, [1, 0, 2]))

        def body(t, h, total):
            x = tf.reshape(array.read(t), [-1, 2])
            r, u = tf.split(tf.sigmoid(tf.matmul(tf.concat([x, h], 1), gates) + gates_b), 2, 1)
            new = tf.tanh(tf.matmul(tf.concat([x, r * h], 1), candidate) + candidate_b)
            h = u * h + (1 - u) * new
            return t + 1, h, total + h

        zero = tf.zeros([tf.shape(series)[0], 5])
        _, h, total = v1.while_loop(lambda t, *_: t < 6, body, [0, zero, zero])
        chosen = tf.reshape(v1.cond(use_last, lambda: h, lambda: total / 6), [-1, 5])
        kernel, bias = weights("fc/kernel", [5, 1]), weights("fc/bias", [1])
        predictions = tf.nn.bias_add(tf.matmul(chosen, kernel), bias, name="fc/predictions")
        loss = v1.losses.mean_squared_error(target, predictions)
        v1.train.AdamOptimizer(0.01).minimize(loss, v1.train.get_or_create_global_step())


@model("tagger/Softmax", "words lens")
def both_directions() -> None:
    words, lens = v1.placeholder(tf.int32, [None, None], "words"), v1.placeholder(tf.int32, [None], "lens")
    tags = v1.placeholder(tf.int32, [None, None], "tags")
    embedded = tf.nn.embedding_lookup(get("we", [14, 5]), words, name="embedded")
    with control_flow(1):
        with v1.variable_scope("bi-lstm"):
            (fw, bw), _ = v1.nn.bidirectional_dynamic_rnn(
                LSTM(4), LSTM(4), embedded, sequence_length=lens, dtype=tf.float32
            )
        output = tf.concat([fw, bw], axis=-1)
        with v1.variable_scope("tagger"):
            scores = dense(tf.reshape(output, [-1, 8]), 3, "proj")
            scores = tf.reshape(scores, [-1, tf.shape(output)[1], 3])
            tf.nn.softmax(scores)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=scores, labels=tags)
        losses = tf.boolean_mask(losses, tf.sequence_mask(lens, tf.shape(words)[1]))
        train(tf.reduce_mean(losses))


@model("forecast", "history")
def several_steps_of_a_time_series() -> None:
    """A static_rnn on a list of steps, whose last output is scaled back by constants."""
    history = v1.placeholder(tf.float32, [None, 8], "history")
    future = v1.placeholder(tf.float32, [None, 2], "future")
    steps = tf.split((history - 120.0) / 35.0, 8, 1)
    outputs, _ = v1.nn.static_rnn(LSTM(5, "lstm"), steps, dtype=tf.float32)
    w, b = variable(v1.random_normal([5, 2]), name="w_out"), variable(v1.random_normal([2]), name="b_out")
    normalised = tf.matmul(outputs[-1], w) + b
    forecast = tf.add(normalised * 35.0, 120.0, name="forecast")
    cost = tf.reduce_mean(tf.square((future - 120.0) / 35.0 - normalised))
    v1.train.RMSPropOptimizer(0.003, 0.9).minimize(cost)
    tf.reduce_mean(tf.abs(future - forecast) / future, name="mape")


@model("logits/MatMul", "question story")
def memory_of_a_story() -> None:
    """Facts and a question, and hops that read the memory by a softmax."""
    story, question = v1.placeholder(tf.int32, [None, 4, 5], "story"), v1.placeholder(tf.int32, [None, 5], "question")
    answer = v1.placeholder(tf.int32, [None, 9], "answers")
    A, C = get("MemN2N/A", [9, 6]), get("MemN2N/C", [9, 6])
    u = tf.reduce_sum(tf.gather(A, question), 1)
    m = tf.reduce_sum(tf.gather(A, story), 2) + get("MemN2N/TA", [4, 6])
    for _ in range(2):
        probs = tf.nn.softmax(tf.reduce_sum(m * tf.expand_dims(u, 1), 2))
        c = tf.reduce_sum(tf.gather(C, story), 2)
        u = tf.reduce_sum(c * tf.expand_dims(probs, 2), 1) + u
    with v1.name_scope("logits"):
        logits = tf.matmul(u, get("MemN2N/W", [6, 9]))
    loss_op = tf.reduce_sum(
        tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=tf.cast(answer, tf.float32)), name="loss_op"
    )
    opt = v1.train.GradientDescentOptimizer(0.01)
    noisy = [(tf.clip_by_norm(g, 40.0) + v1.random_normal(v.shape, stddev=1e-3), v) for g, v in
             opt.compute_gradients(loss_op)]  # fmt: skip
    opt.apply_gradients(noisy, name="train_op")
