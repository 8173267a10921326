"""GroupedConv2D: a Conv2D whose filter groups run as fast as they should."""

import keras

from keras_roots.layers import jax_lowering
from keras_roots.layers import lowering as lowerings
from keras_roots.utils import checks


@keras.saving.register_keras_serializable(package="keras_roots")
class GroupedConv2D(keras.layers.Conv2D):
    """2D convolution with filter groups (Deep Roots, section 3).

    The same layer as `keras.layers.Conv2D`: arguments, weights and results. Only how
    TensorFlow and JAX compute the groups differs. On TensorFlow,
    `keras.layers.Conv2D(groups=g)` compiles the convolution with XLA, which is up to a
    hundred times slower on a CPU; this layer runs TensorFlow's own grouped convolution
    where forward pass, fused bias + activation and gradient all work, and one
    convolution per group elsewhere, as well as where `jit_compile=True` brings in XLA
    on a CPU. On JAX it runs what is faster where it is, by a measurement: XLA's filter
    groups, or else one convolution per group on a CPU, a dense one with a
    block-diagonal kernel on a GPU.
    Other Keras backends compute it as `keras.layers.Conv2D` does.

    Kernel shape: `(height, width, input channels / groups, filters)`. Filter `i`
    sees the input channels of group `i // (filters / groups)`.

    Args:
        filters: Output channels, a multiple of `groups`.
        kernel_size: Height and width of the kernel, or one number for both.
        strides: Strides along height and width, or one number for both.
        padding: `"valid"` or `"same"`.
        groups: Number of filter groups; must divide the input channels too.
        lowering: How TensorFlow and JAX compute the groups. `"auto"` chooses, on
            TensorFlow by what works on this device, in this dtype and layout;
            `"native"` always uses the grouped operation, `"split"` always one
            convolution per group. A model meant for unknown hosts is safe with
            `"split"`.
        **kwargs: The other arguments of `keras.layers.Conv2D`.

    Raises:
        ValueError: An argument is impossible, or as `keras.layers.Conv2D` raises.

    Example:
        >>> layer = GroupedConv2D(64, 3, groups=8, padding="same")
        >>> layer(keras.ops.ones((1, 16, 16, 32))).shape
        (1, 16, 16, 64)
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        *,
        groups=1,
        lowering="auto",
        **kwargs,
    ):
        checks.choice("lowering", lowering, lowerings.LOWERINGS)
        groups = checks.integer("groups", groups)
        filters = checks.integer("filters", filters)
        kernel_size = checks.pair("kernel_size", kernel_size)
        strides = checks.pair("strides", strides)
        checks.text("padding", padding, empty=False)
        checks.choice("padding", padding.lower(), ("valid", "same"))
        if filters % groups:
            raise ValueError(
                "`filters` must be a multiple of `groups`. "
                f"Received: filters={filters}, groups={groups}"
            )
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            groups=groups,
            **kwargs,
        )
        self.lowering = lowering

    def convolution_op(self, inputs, kernel):
        """Convolves each group of input channels with its own filters."""
        backend = keras.backend.backend()
        if self.groups == 1 or backend not in ("tensorflow", "jax"):
            return super().convolution_op(inputs, kernel)
        if backend == "jax":
            return jax_lowering.grouped_conv2d(
                inputs,
                kernel,
                self.groups,
                self.lowering,
                strides=self.strides,
                padding=self.padding,
                data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        # Raises where the images are too small, for which oneDNN returns its input.
        self.compute_output_shape(tuple(inputs.shape))
        return lowerings.grouped_conv2d(
            inputs,
            kernel,
            groups=self.groups,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
            lowering=self.lowering,
        )

    def get_config(self):
        """Returns `keras.layers.Conv2D`'s configuration and the lowering."""
        return {**super().get_config(), "lowering": self.lowering}
