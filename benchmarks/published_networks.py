"""Makes checkpoints of networks as people train them: slim's, and BERT-base, with random weights; 3 GB in all.

    python benchmarks/published_networks.py DIRECTORY [NAME ...] [--packages PACKAGES]

The networks are built by the code that their authors published: the wheels of tf_slim and bert-tensorflow, which pip
downloads into PACKAGES, where they are not there yet.
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"  # which slim's layers are made of

import tensorflow as tf

v1 = tf.compat.v1

WHEELS = {"tf_slim": "1.1.0", "bert-tensorflow": "1.0.4"}
STEP = 1000
CLASSES, SENTENCE, VOCABULARY = 1000, 128, 30522


def classifier(net: str, size: int, optimizer: Callable | None = None, flag: bool = False) -> Callable[[], None]:
    """One of slim's image networks.

    Args:
      net: the module of tf_slim.nets and the function in it, joined by a dot; a further part names the arg scope, where
        that is not named after the function.
      size: of the images, in pixels.
      optimizer: makes the optimizer of a training graph; None for a graph that was made for inference.
      flag: whether a placeholder, False by default, says that the network trains.
    """
    module, function, *others = net.split(".")

    def build() -> None:
        slim, nets = importlib.import_module("tf_slim"), importlib.import_module(f"tf_slim.nets.{module}")
        images = v1.placeholder(tf.float32, [None, size, size, 3], name="images")
        trains = v1.placeholder_with_default(False, [], name="is_training") if flag else optimizer is not None
        with slim.arg_scope(getattr(nets, (others or [f"{function}_arg_scope"])[0])()):
            logits, _ = getattr(nets, function)(images, CLASSES, is_training=trains)
        if optimizer:
            labels = v1.placeholder(tf.int32, [None], name="labels")
            v1.losses.sparse_softmax_cross_entropy(labels, tf.reshape(logits, [-1, CLASSES]))
            v1.train.create_global_step()
            slim.learning.create_train_op(v1.losses.get_total_loss(), optimizer())

    return build


def bert(trains: bool) -> Callable[[], None]:
    """BERT-base with a head of two classes, as run_classifier.py of its authors has it; fine-tuned by Adam or not."""

    def build() -> None:
        modeling = importlib.import_module("bert.modeling")
        ids, mask, segments = (
            v1.placeholder(tf.int32, [None, SENTENCE], name=name) for name in ("input_ids", "input_mask", "segment_ids")
        )
        network = modeling.BertModel(modeling.BertConfig(VOCABULARY), trains, ids, mask, segments)
        weights, biases = v1.get_variable("output_weights", [2, 768]), v1.get_variable("output_bias", [2])
        logits = tf.matmul(network.get_pooled_output(), weights, transpose_b=True) + biases
        tf.nn.softmax(logits, name="probabilities")
        labels = v1.placeholder(tf.int32, [None], name="label_ids")
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        if trains:
            v1.train.AdamOptimizer(2e-5).minimize(loss, v1.train.create_global_step())

    return build


def rmsprop():
    return v1.train.RMSPropOptimizer(0.01, momentum=0.9)


def momentum():
    return v1.train.MomentumOptimizer(0.1, 0.9)


NETWORKS: dict[str, Callable[[], None]] = {
    "inception_v3_train": classifier("inception_v3.inception_v3", 299, rmsprop),
    "inception_v3_flag": classifier("inception_v3.inception_v3", 299, flag=True),
    "resnet_v1_50_train": classifier("resnet_v1.resnet_v1_50.resnet_arg_scope", 224, momentum),
    "resnet_v2_152": classifier("resnet_v2.resnet_v2_152.resnet_arg_scope", 224),
    "vgg_16": classifier("vgg.vgg_16.vgg_arg_scope", 224),
    "bert_base": bert(False),
    "bert_base_train": bert(True),
}


def use_packages(directory: Path) -> None:
    """Makes the wheels in `directory` importable; those that it lacks are downloaded.

    Raises subprocess.CalledProcessError where pip cannot.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, version in WHEELS.items():
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        if not any(directory.glob(pattern)):
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(directory)]
            subprocess.run([*pip, f"{name}=={version}"], check=True)
        sys.path[:0] = map(str, directory.glob(pattern))
    _stand_in()


def _stand_in() -> None:
    """Gives the wheels what they look for where TensorFlow no longer has it."""
    from tf_keras.src import legacy_tf_layers

    sys.modules["tf_keras.legacy_tf_layers"] = legacy_tf_layers
    contrib = ModuleType("tensorflow.contrib")
    contrib.layers = importlib.import_module("tf_slim").layers
    sys.modules["tensorflow.contrib"] = contrib


def save(name: str, directory: Path) -> None:
    """Saves the network `name`, randomly initialised, as directory/name/model.ckpt-1000."""
    (directory / name).mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(1)
        NETWORKS[name]()
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(directory / name / "model.ckpt"), global_step=STEP)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}; by default all")
    parser.add_argument("--packages", type=Path, help="where the wheels are; a temporary directory by default")
    args = parser.parse_args()
    v1.disable_v2_behavior()
    with tempfile.TemporaryDirectory() as temporary:
        use_packages(args.packages or Path(temporary))
        for name in args.names:
            save(name, args.directory)


if __name__ == "__main__":
    main()
