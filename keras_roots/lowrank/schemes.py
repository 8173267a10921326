"""How one convolution becomes two: across its filters, or across rows and columns."""

import dataclasses
import math
from collections.abc import Callable

from keras_roots.convolutions import Convolution, KernelShape, Pair
from keras_roots.utils import checks


@dataclasses.dataclass(frozen=True)
class Scheme:
    """Two convolutions in the place of one, nothing between them.

    Attributes:
        suffix: What the first one's name has after the layer's; the second one keeps
            the layer's name.
        split: Function of a setting along height and width (kernel size, strides,
            dilation): that of the first convolution and of the second.
        spatial: Whether it is for kernels larger than 1x1 only.
    """

    suffix: str
    split: Callable[[Pair], tuple[Pair, Pair]]
    spatial: bool = False

    def shapes(
        self, kernel_shape: KernelShape, groups: int, rank: int
    ) -> tuple[KernelShape, KernelShape]:
        """Returns the shapes of the two kernels.

        Args:
            kernel_shape: `(height, width, channels / groups, N)`.
            groups: Filter groups, of both convolutions.
            rank: M, over all groups.
        """
        *size, channels, filters = kernel_shape
        first, second = self.split(tuple(size))
        return (*first, channels, rank), (*second, rank // groups, filters)

    def factors(
        self, convolution: Convolution, rank: int, use_bias: bool | None = None
    ) -> tuple[Convolution, Convolution]:
        """Describes the two convolutions that would take the place of one.

        Args:
            convolution: The one.
            rank: M, over all groups.
            use_bias: Whether the second has biases; `None` if the one has.
        """
        shapes = self.shapes(convolution.kernel_shape, convolution.groups, rank)
        strides = self.split(convolution.strides)
        dilations = self.split(convolution.dilation)
        first = dataclasses.replace(
            convolution,
            kernel_shape=shapes[0],
            strides=strides[0],
            dilation=dilations[0],
            use_bias=False,
        )
        second = dataclasses.replace(
            convolution,
            kernel_shape=shapes[1],
            strides=strides[1],
            dilation=dilations[1],
            use_bias=convolution.use_bias if use_bias is None else use_bias,
            inputs=first.outputs,
        )
        return first, second

    def full_rank(self, kernel_shape: KernelShape, groups: int) -> int:
        """Returns the rank, over all groups, at which nothing is lost."""
        first, second = self.shapes(kernel_shape, groups, groups)
        rows = math.prod(first[:3])
        columns = second[0] * second[1] * second[3] // groups
        return groups * min(rows, columns)


# Wen et al., Force Regularization, Fig. 3: M filters, and a 1x1 that combines them.
CROSS_FILTER = Scheme("basis", lambda pair: (pair, (1, 1)))
# Tai et al. (ICLR 2016): M filters along the height, and N along the width.
SEPARABLE = Scheme("vertical", lambda pair: ((pair[0], 1), (1, pair[1])), spatial=True)


def theoretical_speedup(kernel_shape: KernelShape, groups: int, rank: int) -> float:
    """Returns how many times fewer weights a cross-filter decomposition applies.

    Force Regularization, Table 4: basis filters and the 1x1, both with the groups of
    the layer, biases aside.

    Args:
        kernel_shape: `(height, width, channels / groups, N)`.
        groups: Filter groups.
        rank: M, over all groups; it need not be a multiple of them.

    Example:
        >>> round(theoretical_speedup((3, 3, 256, 384), 1, 184), 2)  # AlexNet conv3
        1.79

    Raises:
        ValueError: An argument is no such shape or number.
    """
    *size, filters = checks.kernel_shape(kernel_shape, groups)
    checks.integer("rank", rank)
    weights = math.prod(size)
    return weights * filters / (rank * (weights + filters / groups))


def break_even_rank(kernel_shape: KernelShape, groups: int) -> int:
    """Returns the highest rank M at which a cross-filter decomposition pays.

    The greatest multiple of the groups with `theoretical_speedup` above 1; 0 if there
    is none.

    Args:
        kernel_shape: `(height, width, channels / groups, N)`.
        groups: Filter groups.

    Raises:
        ValueError: An argument is no such shape or number.
    """
    *size, filters = checks.kernel_shape(kernel_shape, groups)
    weights, per_group = math.prod(size), filters // groups
    return groups * ((weights * per_group - 1) // (weights + per_group))
