"""How one convolution becomes two: across its filters, or across rows and columns."""

import dataclasses
import math
from collections.abc import Callable

Pair = tuple[int, int]
KernelShape = tuple[int, int, int, int]


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
