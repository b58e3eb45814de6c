"""The architectures of the book: what a network computes, before any training."""

from typing import TYPE_CHECKING

from helpers.data import IMAGE_SIZE

if TYPE_CHECKING:
    import keras


def dense_network(num_classes: int = 10) -> "keras.Model":
    """Return the article's network: 784 pixels, 256 and 128 units, an output a class.

    Takes images, (n, 28, 28) in [0, 1], and returns logits, (n, num_classes):
    softmax is left to the loss, which computes it together with the logarithm.
    235,146 parameters for ten classes.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE)),
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="dense",
    )


def convolutional_network(num_classes: int = 10) -> "keras.Model":
    """Return a small convolutional network.

    Takes images, (n, 28, 28) in [0, 1], and returns logits, (n, num_classes).
    Two convolutions of 3 x 3 with 32 and 64 channels, each followed by
    max-pooling, then 64 units: 121,930 parameters for ten classes.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE)),
            keras.layers.Reshape((IMAGE_SIZE, IMAGE_SIZE, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="convolutional",
    )


def classic_network(num_classes: int = 5) -> "keras.Model":
    """Return the network of Keras' classic example of transfer, mnist_transfer_cnn.

    Takes images, (n, 28, 28) in [0, 1], and returns logits, (n, num_classes).
    Two convolutions of 3 x 3 with 32 channels, max-pooling, dropout of a
    quarter; then 128 units, dropout of a half: 600,165 parameters for five
    classes. The first four layers are the features, the rest is the head.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE)),
            keras.layers.Reshape((IMAGE_SIZE, IMAGE_SIZE, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.25),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(num_classes),
        ],
        name="classic",
    )


def normalised_network(num_classes: int = 10) -> "keras.Model":
    """Return `convolutional_network` with batch normalisation after convolutions.

    Takes images, (n, 28, 28) in [0, 1], and returns logits, (n, num_classes).
    The convolutions have no bias, because the normalisation has one:
    122,218 parameters for ten classes, 192 of them moving statistics.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((IMAGE_SIZE, IMAGE_SIZE)),
            keras.layers.Reshape((IMAGE_SIZE, IMAGE_SIZE, 1)),
            keras.layers.Conv2D(32, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="normalised",
    )
