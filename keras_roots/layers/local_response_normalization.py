"""LocalResponseNormalization: what AlexNet and Caffe's ConvNet have for BatchNorm."""

import keras
import numpy as np

from keras_roots.utils import checks

REGIONS = ("across_channels", "within_channel")


@keras.saving.register_keras_serializable(package="keras_roots")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each activation by a power of the mean square around it.

    `x / (1 + alpha * mean(x**2)) ** 0.75`, as Caffe's LRN layer computes it
    (Krizhevsky et al., 2012, section 3.3): neighbours outside the image or its
    channels count as zero. Computed in float32 whatever the layer's dtype.

    Args:
        size: Number of neighbours, odd: of channels, or height and width of a window.
        alpha: Weight of the mean square.
        region: `"across_channels"`: the mean is over `size` neighbouring channels;
            `"within_channel"`: over `size` x `size` pixels of the same channel.
        **kwargs: The other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: `size` is no odd positive integer, `alpha` is no number of 0 or
            more, or `region` is unknown.

    Example:
        >>> layer = LocalResponseNormalization(5, 1e-4)
        >>> layer(keras.ops.ones((1, 13, 13, 256))).shape
        (1, 13, 13, 256)
    """

    def __init__(self, size, alpha, region="across_channels", **kwargs):
        if checks.integer("size", size) % 2 == 0:
            raise ValueError(f"`size` must be odd. Received: size={size!r}")
        checks.choice("region", region, REGIONS)
        super().__init__(**kwargs)
        self.size = int(size)
        self.alpha = checks.number("alpha", alpha, least=0)
        self.region = region
        self.data_format = keras.config.image_data_format()

    def call(self, inputs):
        """Normalises a batch of images."""
        x = keras.ops.cast(inputs, "float32")
        mean_of = {
            "across_channels": self._over_channels,
            "within_channel": self._over_pixels,
        }[self.region]
        root = keras.ops.rsqrt(1.0 + self.alpha * mean_of(x * x))
        # root * root * rsqrt(root) is the power of -0.75; pow is slow on devices.
        return keras.ops.cast(x * root * root * keras.ops.rsqrt(root), inputs.dtype)

    def _over_channels(self, squares):
        # A mean over neighbouring channels is a 1x1 convolution with a band matrix.
        axis = -1 if self.data_format == "channels_last" else 1
        index = np.arange(squares.shape[axis])
        near = np.abs(index[:, None] - index) <= self.size // 2
        kernel = near[None, None].astype("float32") / self.size
        return keras.ops.conv(
            squares, keras.ops.array(kernel), data_format=self.data_format
        )

    def _over_pixels(self, squares):
        margin = self.size // 2
        widths = [[margin, margin], [margin, margin]]
        widths.insert(2 if self.data_format == "channels_last" else 0, [0, 0])
        return keras.ops.average_pool(
            keras.ops.pad(squares, [[0, 0], *widths]),
            self.size,
            strides=1,
            data_format=self.data_format,
        )

    def compute_output_shape(self, input_shape):
        """Returns the shape of the input."""
        return input_shape

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "region": self.region,
        }
