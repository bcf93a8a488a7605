"""Dropout as each version of TensorFlow has written it, by the version since which it did."""

import tensorflow as tf

raw = tf.raw_ops


def uniform(x, like=None):
    """As random_ops.random_uniform of TensorFlow 1 wrote it, for the shape of `like` where that is given."""
    drawn = raw.RandomUniform(shape=tf.shape(x if like is None else like), dtype=x.dtype, seed=3, seed2=4)
    one, zero = tf.constant(1, x.dtype), tf.constant(0, x.dtype)
    return raw.Add(x=raw.Mul(x=drawn, y=raw.Sub(x=one, y=zero)), y=zero)


def of_0_5(x, keep):
    return raw.Mul(x=raw.Mul(x=x, y=raw.Inv(x=keep)), y=raw.Floor(x=raw.Add(x=keep, y=uniform(x))))


def of_0_10(x, keep):
    return raw.Mul(x=raw.Div(x=x, y=keep), y=raw.Floor(x=raw.Add(x=keep, y=uniform(x))))


def of_1_12(x, keep):
    return raw.Mul(x=raw.RealDiv(x=x, y=keep), y=raw.Floor(x=raw.Add(x=keep, y=uniform(x))))


def of_1_13(x, keep):
    one = tf.constant(1, x.dtype)
    rate = raw.Sub(x=one, y=keep)
    scale = raw.RealDiv(x=one, y=raw.Sub(x=one, y=rate))
    mask = raw.Cast(x=raw.GreaterEqual(x=uniform(x), y=rate), DstT=x.dtype)
    return raw.Mul(x=raw.Mul(x=x, y=scale), y=mask)


def of_2(x, keep):
    rate = raw.Sub(x=tf.constant(1, x.dtype), y=keep)
    drawn = raw.RandomUniform(shape=tf.shape(x), dtype=x.dtype)
    scaled = raw.RealDiv(x=x, y=raw.Sub(x=tf.constant(1, x.dtype), y=rate))
    return raw.SelectV2(condition=raw.GreaterEqual(x=drawn, y=rate), t=scaled, e=tf.constant(0, x.dtype))


def of_this_one(x, keep):
    return tf.nn.dropout(x, rate=1 - keep)


FORMS = {"0.5": of_0_5, "0.10": of_0_10, "1.12": of_1_12, "1.13": of_1_13, "2": of_2, "this": of_this_one}
