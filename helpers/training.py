"""Seeds, quiet fitting, initial weights, and whole trainings inside one graph."""

import contextlib
import functools
import itertools
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers import data

if TYPE_CHECKING:
    import keras

Weights = list[list[np.ndarray]]  # the arrays of each layer that has any, input first

_MANY_WEIGHTS = 2**18  # from here on XLA compiles an optimiser's arithmetic


def book_seed() -> int:
    """Return the environment variable `BOOK_SEED`, 0 if it is not set.

    It moves what experiments draw: initial weights, the order of images, which
    images are labelled. The stored checkpoints and the variants of typed glyphs
    stay as they are.

    Raises:
        ValueError: the variable is not a whole number from 0 to 9999.
    """
    text = os.environ.get("BOOK_SEED", "0")
    if not text.isdecimal() or int(text) > 9999:
        raise ValueError(
            f"BOOK_SEED is {text!r}; expected a whole number from 0 to 9999. "
            "Unset it for the seed that the stored outputs were made with."
        )
    return int(text)


def seeds(count: int) -> list[int]:
    """Return `count` different seeds, other ones for every `BOOK_SEED`.

    None of them is 0, the seed of the checkpoints: the initial weights of a
    source model never come back as the random weights of a control.

    Raises:
        ValueError: `count` is not 1 to 1000, or `BOOK_SEED` is refused.

    Example:
        >>> seeds(3)
        [1, 2, 3]
    """
    if not 1 <= count <= 1000:
        raise ValueError(f"{count} seeds were asked for; expected 1 to 1000.")
    return [1000 * book_seed() + i for i in range(1, count + 1)]


def set_seed(seed: int | None = None) -> None:
    """Seed Python, NumPy and Keras; without an argument with `seeds(1)[0]`.

    Call it before a model is built: the initial weights are random numbers too.
    """
    import keras

    keras.utils.set_random_seed(seeds(1)[0] if seed is None else seed)


def compile_model(model: "keras.Model", learning_rate: float = 0.001) -> "keras.Model":
    """Return a model, ready for `fit`: Adam, cross-entropy from logits, accuracy.

    Args:
        model: a model whose last layer returns logits. Freeze layers before:
            compiling fixes which weights are trained.
        learning_rate: Adam's, above 0.
    """
    import keras

    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def fit(
    model: "keras.Model",
    train: data.Split,
    validation: data.Split | None = None,
    epochs: int = 10,
    batch_size: int = 128,
) -> dict[str, list[float]]:
    """Do what `model.fit` does, with each epoch as one call into the graph.

    The images are shuffled anew in every epoch; those that do not fill the
    last batch are left out of that epoch. A reader who runs the cell sees the
    epochs pass; the line is wiped at the end and nothing of it is stored.

    As in Keras, the graph is made by the first call and used again by later
    ones: a model whose layers were changed must be compiled again.

    Args:
        model: a model from `compile_model`, or compiled in the same way.
        train: what to fit.
        validation: what to measure after every epoch, if anything.
        epochs: passes over `train`.
        batch_size: images per update; fewer if `train` has fewer.

    Returns:
        The history, one value for each epoch: `loss` and `accuracy` while the
        epoch ran, and `val_loss` and `val_accuracy` after it.
    """
    import tensorflow as tf

    x, y = tf.constant(train.x), tf.constant(train.y)
    variables = model.trainable_variables
    model.optimizer.build(variables)
    one_epoch = _compile_epoch(
        model, model.optimizer, model.loss, tuple(map(id, variables))
    )
    size = min(batch_size, len(train.y))
    steps = len(train.y) // size
    history: dict[str, list[float]] = {}
    for epoch in range(1, epochs + 1):
        order = np.random.permutation(len(train.y))[: steps * size]
        batches = tf.constant(order.reshape(steps, size), tf.int32)
        total, right = one_epoch(x, y, batches)
        measured = {"loss": total / steps, "accuracy": right / (steps * size)}
        if validation is not None:
            scores = model.evaluate(*validation, batch_size=500, verbose=0)
            measured |= dict(zip(("val_loss", "val_accuracy"), scores, strict=True))
        for key, value in measured.items():
            history.setdefault(key, []).append(float(value))
        show_progress(epoch, epochs, "epoch")
    return history


@functools.lru_cache(maxsize=8)  # the graphs of the last eight models
def _compile_epoch(
    model: "keras.Model",
    optimizer: "keras.Optimizer",
    loss: Any,
    trained: tuple[int, ...],
) -> Callable:
    """Return one epoch of `fit` as a graph; the arguments are what it depends on."""
    import tensorflow as tf

    variables = model.trainable_variables

    @tf.function(jit_compile=xla_pays(model.layers))
    def one_epoch(x: Any, y: Any, batches: Any) -> Any:
        total, right = tf.constant(0.0), tf.constant(0, tf.int64)
        for batch in batches:
            labels = tf.gather(y, batch)
            with tf.GradientTape() as tape:
                logits = model(tf.gather(x, batch), training=True)
                loss = model.compute_loss(y=labels, y_pred=logits)
            optimizer.apply(tape.gradient(loss, variables), variables)
            total += loss
            right += tf.math.count_nonzero(tf.argmax(logits, axis=1) == labels)
        return total, right

    return one_epoch


def compile_loop(
    loss_of: Callable,
    variables: "Sequence[keras.Variable]",
    optimizer: "keras.Optimizer",
    xla: bool = False,
) -> Callable:
    """Compile a training with a loss of its own, all updates in one graph.

    Every call of the result is a training from the variables' present values,
    with the optimiser as it is now.

    Args:
        loss_of: the loss of one update, a scalar. It is called with what is given
            in every update, and then with this update's row of each array in
            `steps`: `loss_of(*given, *rows)`.
        variables: what the training changes, e.g. `model.trainable_variables`.
        optimizer: one that has trained nothing yet.
        xla: whether XLA compiles the graph, see `xla_pays`.

    Returns:
        `train(given, steps, rates=None)`. `given` is a list of arrays that every
        update gets whole, and `steps` a list of arrays with a row for each update.
        `rates`, (updates, variables), multiplies what the optimiser changes: at
        the optimiser's own rate 1 they are the learning rates, and 0 freezes.
        One graph serves all arrays of the same shapes and types.

    Raises:
        ValueError: by the result, if `steps` and `rates` differ in length or there
            are none.

    Example:
        >>> import keras
        >>> w = keras.Variable(0.0)
        >>> loss_of = lambda goal, weight: weight * (w - goal) ** 2
        >>> train = compile_loop(loss_of, [w], keras.optimizers.SGD(0.1))
        >>> train([3.0], [np.ones(50, np.float32)])
        >>> round(float(w), 3)
        3.0
    """
    import tensorflow as tf

    variables = list(variables)
    optimizer.build(variables)
    blank = [(variable, variable.numpy()) for variable in optimizer.variables]
    # An optimiser's many small operations on many weights: XLA merges them.
    many = sum(variable.numpy().size for variable in variables) >= _MANY_WEIGHTS

    @tf.function(jit_compile=many)
    def move(gradients: Any, rows: Any) -> None:
        before = [tf.identity(variable) for variable in variables]
        optimizer.apply(gradients, variables)
        for row in rows:
            for k, variable in enumerate(variables):
                change = variable - before[k]
                variable.assign(before[k] + row[k] * change)

    @tf.function(jit_compile=xla, reduce_retracing=True)
    def loop(given: Any, steps: Any, rates: Any) -> None:
        for i in tf.range(tf.shape(steps[0])[0]):
            with tf.GradientTape() as tape:
                loss = loss_of(*given, *[rows[i] for rows in steps])
            move(tape.gradient(loss, variables), [table[i] for table in rates])

    def train(given: Sequence, steps: Sequence, rates: Any = None) -> None:
        tables = [] if rates is None else [rates]
        lengths = [len(rows) for rows in (*steps, *tables)]
        if not steps or len(set(lengths)) != 1 or not lengths[0]:
            raise ValueError(
                f"Received arrays of {lengths} rows; expected one row for each "
                "update in all of them, and at least one update."
            )
        for variable, value in blank:
            variable.assign(value)
        loop(*tf.nest.map_structure(tf.convert_to_tensor, (given, steps, tables)))

    return train


def xla_pays(layers: "Sequence[keras.Layer]") -> bool:
    """Return whether XLA makes the training of these layers faster on a CPU.

    It doubles the speed of dense networks. Its convolutions and its random numbers
    for dropout are many times slower than TensorFlow's own.
    """
    return not any(
        slow in type(layer).__name__.lower()
        for layer in layers
        for slow in ("conv", "dropout")
    )


def adam(
    theta: Sequence,
    gradients: Sequence,
    m: Sequence,
    v: Sequence,
    t: Any,
    alpha: Any,
) -> tuple[list, list, list]:
    """Return the weights after step `t` of Adam, and the two running means.

    It needs arithmetic only, so it takes NumPy's arrays and TensorFlow's tensors.

    Args:
        theta: the weights, a list of arrays.
        gradients: the gradient of the loss for each of them.
        m: running means of the gradients, zeros before the first step.
        v: running means of their squares, zeros before the first step.
        t: number of this step, from 1.
        alpha: the learning rate: a number, an array that fits all weights, or a
            list with one of them for each.

    Returns:
        The new weights, the new `m` and the new `v`, each a list of arrays.

    Source:
        Kingma and Ba (2015), algorithm 1 in the form of its section 2, with
        Keras' constants: 0.9, 0.999 and 1e-7.

    Example:
        >>> theta, m, v = adam([np.array(1.0)], [np.array(4.0)], [0.0], [0.0], 1, 0.1)
        >>> round(float(theta[0]), 6)
        0.9
    """
    m = [0.9 * a + 0.1 * g for a, g in zip(m, gradients, strict=True)]
    v = [0.999 * a + 0.001 * g**2 for a, g in zip(v, gradients, strict=True)]
    alphas = alpha if isinstance(alpha, list) else [alpha] * len(theta)
    rates = [a * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t) for a in alphas]
    moved = zip(theta, rates, m, v, strict=True)
    return [w - rate * a / (b**0.5 + 1e-7) for w, rate, a, b in moved], m, v


def glorot(sizes: Sequence[int], seed: int) -> list[np.ndarray]:
    """Draw weights for a dense network as Keras does: Glorot-uniform, biases zero.

    Args:
        sizes: the width of each layer, input first; at least two.
        seed: names the draw.

    Returns:
        Kernel and bias of each layer in turn, (inputs, outputs) and (outputs,)
        float32, as `model.set_weights` takes them.

    Raises:
        ValueError: there are fewer than two widths, or one is below 1.

    Source:
        Glorot and Bengio (2010), equation 16.

    Example:
        >>> [array.shape for array in glorot((784, 300, 10), seed=0)]
        [(784, 300), (300,), (300, 10), (10,)]
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(
            f"Received the widths {list(sizes)}; expected at least two of at least 1: "
            "those of the input and of each layer."
        )
    rng = np.random.default_rng(seed)
    theta: list[np.ndarray] = []
    for inputs, outputs in itertools.pairwise(sizes):
        bound = np.sqrt(6 / (inputs + outputs))
        kernel = rng.uniform(-bound, bound, (inputs, outputs))
        theta.append(kernel.astype(np.float32))
        theta.append(np.zeros(outputs, np.float32))
    return theta


def layer_weights(model: "keras.Model") -> Weights:
    """Return the weights of a model layer by layer, input first.

    Layers without weights are left out; of a layer with weights only those
    that training changes are taken (kernel, bias).
    """
    return [
        [weight.numpy() for weight in layer.trainable_weights]
        for layer in model.layers
        if layer.trainable_weights
    ]


def fresh_weights(model: "keras.Model", seed: int) -> Weights:
    """Return new random weights for a model, as `layer_weights` returns them.

    They are the weights of `untrained(model, seed)`, drawn without building that
    model. The model keeps its own weights, and the generators that `set_seed`
    seeds go on as if nothing had been drawn.
    """
    with _generator(seed):
        layers = [type(layer).from_config(layer.get_config()) for layer in model.layers]
        for layer, known in zip(layers, model.layers, strict=True):
            if known.trainable_weights:
                layer.build_from_config(known.get_build_config())
    return [
        [weight.numpy() for weight in layer.trainable_weights]
        for layer in layers
        if layer.trainable_weights
    ]


def untrained(model: "keras.Model", seed: int) -> "keras.Model":
    """Return a model of the same architecture with new random weights.

    They are drawn by the initialisers of the model's layers, as after
    `set_seed(seed)`; the generators that `set_seed` seeds go on as if nothing had
    been drawn.
    """
    import keras

    with _generator(seed):
        return keras.models.clone_model(model)


@contextlib.contextmanager
def _generator(seed: int) -> Iterator[None]:
    """Seed for a while the generator from which Keras seeds initialisers and layers."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def show_progress(done: int, total: int, unit: str) -> None:
    """Rewrite one line on a reader's screen; wipe it when all is done.

    Args:
        done: how many are done.
        total: how many there are.
        unit: what is counted, in the singular.
    """
    if "PYTEST_CURRENT_TEST" in os.environ or "BOOK_QUIET" in os.environ:
        return
    line = f"{unit} {done} of {total}" if done < total else ""
    sys.stdout.write(f"\r{line:30}" if line else f"\r{'':30}\r")
    sys.stdout.flush()
