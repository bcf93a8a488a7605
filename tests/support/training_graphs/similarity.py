"""What is near to what: embeddings, factors, maps."""

import numpy as np
import tensorflow as tf

from training_graphs.layers import dense, get, model, train, v1, variable


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


@model("rating", "user item")
def matrix_factorization() -> None:
    user, item = v1.placeholder(tf.int32, [None], "user"), v1.placeholder(tf.int32, [None], "item")
    rating = v1.placeholder(tf.float32, [None], "true_rating")
    p, q = tf.gather(get("P", [8, 3]), user), tf.gather(get("Q", [6, 3]), item)
    bias = tf.gather(get("bu", [8]), user) + tf.gather(get("bi", [6]), item) + get("mu", [])
    predicted = tf.add(tf.reduce_sum(p * q, 1), bias, name="rating")
    train(tf.reduce_mean(tf.square(rating - predicted)) + 0.01 * (tf.nn.l2_loss(p) + tf.nn.l2_loss(q)))


@model("siamese/o1", "x1")
def one_tower_of_two_is_used() -> None:
    """The scope is entered twice; what is looked up later was embedded by the first tower."""
    x1, x2 = v1.placeholder(tf.float32, [None, 16], name="x1"), v1.placeholder(tf.float32, [None, 16], name="x2")

    def fc_layer(bottom, n_weight, name):
        W = get(name + "W", [bottom.shape[1], n_weight])
        b = get(name + "b", [n_weight], v1.constant_initializer(0.01), dtype=tf.float32)
        return tf.nn.bias_add(tf.matmul(bottom, W), b)

    def network(x):
        ac1 = tf.nn.relu(fc_layer(x, 8, "fc1"))
        return fc_layer(tf.nn.relu(fc_layer(ac1, 8, "fc2")), 2, "fc3")

    with v1.variable_scope("siamese") as scope:
        o1 = tf.identity(network(x1), "o1")
        scope.reuse_variables()
        o2 = network(x2)
    y_ = v1.placeholder(tf.float32, [None])
    eucd2 = tf.reduce_sum(tf.pow(tf.subtract(o1, o2), 2), 1)
    eucd = tf.sqrt(eucd2 + 1e-6, name="eucd")
    pos = tf.multiply(y_, eucd2, name="yi_x_eucd2")
    neg = tf.multiply(1.0 - y_, tf.pow(tf.maximum(5.0 - eucd, 0), 2), name="Nyi_x_C-eucd_xx_2")
    v1.train.GradientDescentOptimizer(0.01).minimize(tf.reduce_mean(pos + neg, name="loss"))


@model("distance temp_sim", "input_x1 input_x2")
def distance_of_two_sentences() -> None:
    """Whoever uses the model gives both sentences and fetches their distance."""
    one, two = (
        v1.placeholder(tf.int32, [None, 5], name="input_x1"),
        v1.placeholder(tf.int32, [None, 5], name="input_x2"),
    )
    input_y = v1.placeholder(tf.float32, [None], name="input_y")
    W = get("embedding/W", [14, 6])

    def side(ids):
        return dense(tf.reduce_mean(tf.nn.embedding_lookup(W, ids), 1), 4, "side", tf.tanh)

    out1, out2 = side(one), side(two)
    distance = tf.sqrt(tf.reduce_sum(tf.square(tf.subtract(out1, out2)), 1, keepdims=True) + 1e-9)
    norms = tf.sqrt(tf.reduce_sum(tf.square(out1), 1, keepdims=True)) + tf.sqrt(
        tf.reduce_sum(tf.square(out2), 1, keepdims=True)
    )
    distance = tf.reshape(tf.divide(distance, norms), [-1], name="distance")
    with v1.name_scope("loss"):
        contrastive = input_y * tf.square(distance) + (1 - input_y) * tf.square(tf.maximum(1 - distance, 0))
        loss = tf.reduce_sum(contrastive) / 2
    temp_sim = tf.subtract(tf.ones_like(distance), tf.math.rint(distance), name="temp_sim")
    with v1.name_scope("accuracy"):
        tf.reduce_mean(tf.cast(tf.equal(temp_sim, input_y), "float"), name="accuracy")
    v1.train.AdamOptimizer(1e-3).minimize(loss)


@model("labelled/Softmax", "images_lab")
def tower_for_what_has_no_labels() -> None:
    """The same network reads unlabelled rows, for a loss that wants them to walk to the labelled ones and back."""
    t_images, t_labels = v1.placeholder(tf.float32, [None, 8], "images_lab"), v1.placeholder(tf.int64, [None], "labels")
    t_unlab = v1.placeholder(tf.float32, [None, 8], "images_unlab")

    def emb(x):
        return dense(dense(x, 6, "net/fc1", tf.nn.elu), 4, "net/emb", tf.nn.elu)

    t_emb, u_emb = emb(t_images), emb(t_unlab)
    logits = dense(t_emb, 3, "net/logits")
    with v1.name_scope("labelled"):
        tf.nn.softmax(logits)
    equality = tf.cast(tf.equal(tf.reshape(t_labels, [-1, 1]), t_labels), tf.float32)
    p_target = equality / tf.reduce_sum(equality, [1], keepdims=True)
    match_ab = tf.matmul(t_emb, u_emb, transpose_b=True, name="match_ab")
    p_ab, p_ba = tf.nn.softmax(match_ab, name="p_ab"), tf.nn.softmax(tf.transpose(match_ab), name="p_ba")
    p_aba = tf.matmul(p_ab, p_ba, name="p_aba")
    walker = v1.losses.softmax_cross_entropy(p_target, tf.math.log(1e-8 + p_aba), scope="loss_aba")
    v1.summary.scalar("Loss_aba", walker)
    v1.losses.sparse_softmax_cross_entropy(t_labels, logits)
    train(v1.losses.get_total_loss())


@model("normalized_embeddings similarity", "")
def words_of_their_neighbours() -> None:
    """What is wanted is made of the weights alone; what is fed is for the loss."""
    with v1.name_scope("inputs"):
        train_inputs = v1.placeholder(tf.int32, shape=[6])
        train_labels = v1.placeholder(tf.int32, shape=[6, 1])
        valid_dataset = tf.constant(np.array([1, 3, 5]), dtype=tf.int32)
    with v1.name_scope("embeddings"):
        embeddings = variable(v1.random_uniform([20, 5], -1.0, 1.0))
        embed = tf.nn.embedding_lookup(embeddings, train_inputs)
    with v1.name_scope("weights"):
        nce_weights = variable(v1.truncated_normal([20, 5], stddev=0.4))
    with v1.name_scope("biases"):
        nce_biases = variable(tf.zeros([20]))
    with v1.name_scope("loss"):
        loss = tf.reduce_mean(
            v1.nn.nce_loss(nce_weights, nce_biases, train_labels, embed, num_sampled=4, num_classes=20)
        )
    with v1.name_scope("optimizer"):
        v1.train.GradientDescentOptimizer(1.0).minimize(loss)
    norm = tf.sqrt(tf.reduce_sum(tf.square(embeddings), 1, keepdims=True))
    normalized_embeddings = tf.divide(embeddings, norm, name="normalized_embeddings")
    valid_embeddings = tf.nn.embedding_lookup(normalized_embeddings, valid_dataset)
    tf.matmul(valid_embeddings, normalized_embeddings, transpose_b=True, name="similarity")


@model("MatMul", "")
def ratings_of_all_by_all() -> None:
    """The known ratings are a matrix with a mask; the product of the factors is the prediction for each pair."""
    R, mask = v1.placeholder(tf.float32, [7, 5], name="R"), v1.placeholder(tf.float32, [7, 5], name="mask")
    U, V = variable(v1.random_normal([7, 3], stddev=0.3)), variable(v1.random_normal([3, 5], stddev=0.3))
    R_hat = tf.matmul(U, V)
    sq_error = tf.reduce_sum(mask * tf.square(R - R_hat))
    regularization = 0.02 * (tf.reduce_sum(tf.square(U)) + tf.reduce_sum(tf.square(V)))
    v1.train.AdagradOptimizer(0.1).minimize(sq_error + regularization)
    tf.sqrt(sq_error / tf.reduce_sum(mask), name="rmse")


@model("embedding_lookup/Identity", "Placeholder")
def vectors_by_id() -> None:
    """The lookup is all there is to use; a linear layer and sampled classes are for the loss."""
    inputs, labels = v1.placeholder(tf.int32, [None]), v1.placeholder(tf.int32, [None, None])
    embedding = variable(v1.random_uniform((15, 4), -1, 1))
    embed = tf.nn.embedding_lookup(embedding, inputs)
    softmax_w, softmax_b = variable(v1.truncated_normal((15, 4), stddev=0.1)), variable(tf.zeros(15))
    loss = v1.nn.sampled_softmax_loss(softmax_w, softmax_b, tf.reshape(labels, [-1, 1]), embed, 3, 15)
    v1.train.AdamOptimizer().minimize(tf.reduce_mean(loss))


@model("predict", "predict_h predict_r predict_t")
def translations_of_entities() -> None:
    """Triples that are true and false for the loss, and inputs of their own for those that are asked for."""
    pos, neg, ask = (
        [v1.placeholder(tf.int32, [None], f"{name}_{part}") for part in "hrt"] for name in ("pos", "neg", "predict")
    )
    ent, rel = get("ent_embedding", [12, 4]), get("rel_embedding", [3, 4])

    def distance(h, r, t, name=None):
        h, r, t = tf.gather(ent, h), tf.gather(rel, r), tf.gather(ent, t)
        return tf.reduce_sum(tf.abs(h + r - t), 1, name=name)

    loss = tf.reduce_sum(tf.maximum(distance(*pos) - distance(*neg) + 1.0, 0))
    v1.train.GradientDescentOptimizer(0.01).minimize(loss)
    distance(*ask, name="predict")


@model("ArgMin", "Placeholder")
def nearest_neighbour() -> None:
    """What is known lies in a variable that nothing trains."""
    known = variable(np.random.default_rng(2).normal(size=[9, 6]).astype(np.float32), name="X_train", trainable=False)
    xte = v1.placeholder("float", [6])
    distance = tf.reduce_sum(tf.abs(tf.add(known, tf.negative(xte))), axis=1)
    tf.argmin(distance, 0)


@model("ArgMin", "Placeholder")
def self_organising_map() -> None:
    """A map that is assigned what its own distances say; neither a layer, nor a loss, nor an optimizer."""
    m, n, dim = 3, 4, 5
    weightage_vects = variable(v1.random_normal([m * n, dim]))
    location_vects = tf.constant(np.array([[i, j] for i in range(m) for j in range(n)]))
    vect_input, iter_input = v1.placeholder("float", [dim]), v1.placeholder("float")
    stacked = tf.stack([vect_input for _ in range(m * n)])
    bmu_index = tf.argmin(tf.sqrt(tf.reduce_sum(tf.pow(tf.subtract(weightage_vects, stacked), 2), 1)), 0)
    slice_input = tf.pad(tf.reshape(bmu_index, [1]), np.array([[0, 1]]))
    bmu_loc = tf.reshape(tf.slice(location_vects, slice_input, tf.constant(np.array([1, 2]))), [2])
    learning_rate_op = tf.subtract(1.0, iter_input / 100)
    alpha_op, sigma_op = tf.multiply(0.3, learning_rate_op), tf.multiply(2.0, learning_rate_op)
    bmu_distance_squares = tf.reduce_sum(
        tf.pow(tf.subtract(location_vects, tf.stack([bmu_loc for _ in range(m * n)])), 2), 1
    )
    neighbourhood_func = tf.exp(tf.negative(tf.cast(bmu_distance_squares, "float32") / tf.pow(sigma_op, 2)))
    learning_rates = tf.multiply(alpha_op, neighbourhood_func)
    multiplier = tf.stack([tf.tile(tf.slice(learning_rates, [i], [1]), [dim]) for i in range(m * n)])
    delta = tf.multiply(multiplier, tf.subtract(stacked, weightage_vects))
    v1.assign(weightage_vects, tf.add(weightage_vects, delta))
