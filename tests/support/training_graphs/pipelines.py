"""What is fed by queues, iterators or several devices."""

import numpy as np
import tensorflow as tf

from training_graphs.layers import cross_entropy, dense, flat, get, model, train, v1, variable


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


@model("softmax_linear/softmax_linear", "shuffle_batch")
def queue_of_shuffled_images() -> None:
    """No placeholder: images come from a queue, cut, flipped and standardised by threads before."""
    data = tf.constant(np.random.default_rng(5).uniform(0, 255, [12, 10, 10, 3]).astype(np.float32))
    image, label = v1.train.slice_input_producer([data, tf.constant(np.arange(12) % 4, tf.int32)], seed=1)
    distorted = tf.image.random_flip_left_right(v1.random_crop(image, [8, 8, 3]))
    float_image = tf.image.per_image_standardization(distorted)
    images, labels = v1.train.shuffle_batch([float_image, label], batch_size=4, capacity=20, min_after_dequeue=5)
    v1.summary.image("images", images)
    with v1.variable_scope("conv1"):
        kernel = get("weights", [3, 3, 3, 4])
        pre_activation = tf.nn.bias_add(tf.nn.conv2d(images, kernel, 1, "SAME"), get("biases", [4]))
        conv1 = tf.nn.relu(pre_activation, name="conv1")
        v1.summary.scalar("conv1/sparsity", tf.nn.zero_fraction(conv1))
    pool1 = tf.nn.max_pool2d(conv1, 3, 2, "SAME", name="pool1")
    norm1 = tf.nn.local_response_normalization(pool1, 4, bias=1.0, alpha=0.001 / 9.0, beta=0.75, name="norm1")
    with v1.variable_scope("local3"):
        reshape = tf.reshape(norm1, [4, -1])
        local3 = tf.nn.relu(tf.matmul(reshape, get("weights", [64, 8])) + get("biases", [8]), name="local3")
    with v1.variable_scope("softmax_linear"):
        softmax_linear = tf.add(tf.matmul(local3, get("weights", [8, 4])), get("biases", [4]), name="softmax_linear")
    v1.add_to_collection("losses", cross_entropy(labels, softmax_linear, "cross_entropy"))
    v1.add_to_collection("losses", tf.multiply(tf.nn.l2_loss(kernel), 0.004, name="weight_loss"))
    total_loss = tf.add_n(v1.get_collection("losses"), name="total_loss")
    loss_averages_op = v1.train.ExponentialMovingAverage(0.9, name="avg").apply([total_loss])
    with tf.control_dependencies([loss_averages_op]):
        grads = v1.train.GradientDescentOptimizer(0.1).compute_gradients(total_loss)
    with tf.control_dependencies([v1.train.GradientDescentOptimizer(0.1).apply_gradients(grads)]):
        tf.no_op(name="train")
    tf.nn.in_top_k(labels, softmax_linear, 1)


@model("add", "fifo_queue_DequeueMany")
def queue_of_the_callers() -> None:
    """Threads of the training program put in what they have read, by placeholders that only the queue reads."""
    row, truth = v1.placeholder(tf.float32, [5]), v1.placeholder(tf.float32, [2])
    q = v1.FIFOQueue(capacity=50, dtypes=[tf.float32, tf.float32], shapes=[[5], [2]])
    q.enqueue([row, truth])
    data, target = q.dequeue_many(4)
    w1, w2 = variable(v1.random_normal([5, 6])), variable(v1.random_normal([6, 2]))
    pred = tf.matmul(tf.nn.relu(tf.matmul(data, w1)), w2) + variable(tf.zeros([2]))
    v1.train.AdamOptimizer().minimize(tf.reduce_mean(tf.square(pred - target)))
    q.close(), q.size()


@model("logits/BiasAdd Softmax", "IteratorGetNext")
def iterator_without_a_placeholder() -> None:
    """A dataset that ends in one iterator, whose values are cast and scaled in front of the network."""
    images = np.random.default_rng(6).integers(0, 255, [10, 6, 6, 1]).astype(np.uint8)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(10, dtype=np.int64) % 3)).repeat().batch(5)
    next_images, next_labels = v1.data.make_one_shot_iterator(dataset).get_next()
    x = tf.cast(next_images, tf.float32) / 255.0
    logits = dense(flat(x), 3, "logits")
    tf.nn.softmax(logits)
    loss = v1.losses.softmax_cross_entropy(tf.one_hot(next_labels, 3), logits)
    v1.train.AdamOptimizer().minimize(loss)
    v1.metrics.accuracy(next_labels, tf.argmax(logits, 1))


@model("output/y_hat", "")
def data_in_the_graph() -> None:
    """All the data there are, as constants; the program trains, prints the prediction, and ends."""
    xs = np.linspace(-1, 1, 20, dtype=np.float32)[:, np.newaxis]
    X, Y = tf.constant(xs, name="X"), tf.constant(xs**2 - 0.5, name="Y")
    with v1.variable_scope("hidden"):
        h = tf.nn.tanh(tf.matmul(X, get("w", [1, 7])) + get("b", [7]))
    with v1.variable_scope("output"):
        y_hat = tf.add(tf.matmul(h, get("w", [7, 1])), get("b", [1]), name="y_hat")
    v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(tf.square(y_hat - Y)))


@model("tower0/prediction", "tower0/x tower1/x")
def towers_with_placeholders_of_their_own() -> None:
    """Each device has inputs of its own, and the gradients are averaged by hand."""
    optimizer, tower_grads = v1.train.AdamOptimizer(1e-3), []
    with v1.variable_scope(v1.get_variable_scope()) as outer:
        for i in range(2):
            with tf.device("/cpu:0"), v1.name_scope(f"tower{i}"):
                x, y = v1.placeholder(tf.float32, [None, 5], "x"), v1.placeholder(tf.int64, [None], "y")
                scores = dense(dense(x, 6, "fc1", tf.nn.relu), 3, "fc2")
                tf.nn.softmax(scores, name="prediction")
                loss = cross_entropy(y, scores, "xentropy")
                outer.reuse_variables()
                tower_grads.append(optimizer.compute_gradients(loss))
    averaged = []
    for pairs in zip(*tower_grads, strict=True):
        grads = tf.concat([tf.expand_dims(g, 0) for g, _ in pairs], 0)
        averaged.append((tf.reduce_mean(grads, 0), pairs[0][1]))
    optimizer.apply_gradients(averaged, v1.train.get_or_create_global_step())
