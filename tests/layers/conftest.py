"""The reference that grouped convolutions are checked against."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def reference():
    return grouped_convolution


def grouped_convolution(
    inputs, kernel, groups, strides=(1, 1), padding="valid", dilation_rate=(1, 1)
):
    """Returns the outputs, channels last, and the function that pulls gradients back.

    That function takes the gradient of the outputs and returns those of the inputs
    and the kernel. All in float64, tap by tap of the kernel.
    """
    inputs = np.asarray(inputs, "float64")
    kernel = np.asarray(kernel, "float64")
    height, width, channels, filters = kernel.shape
    sides = []
    for side, size, stride, rate in zip(
        inputs.shape[1:3], (height, width), strides, dilation_rate, strict=True
    ):
        extent = (size - 1) * rate + 1
        if padding == "same":
            steps = -(-side // stride)
            missing = max((steps - 1) * stride + extent - side, 0)
        else:
            steps, missing = (side - extent) // stride + 1, 0
        sides.append((steps, (missing // 2, missing - missing // 2)))
    (rows, above_below), (columns, left_right) = sides
    padded = np.pad(inputs, [(0, 0), above_below, left_right, (0, 0)])
    grouped = padded.reshape(*padded.shape[:3], groups, channels)
    taps = kernel.reshape(height, width, channels, groups, filters // groups)

    def seen_by(row, column):
        top, left = row * dilation_rate[0], column * dilation_rate[1]
        return (
            slice(None),
            slice(top, top + (rows - 1) * strides[0] + 1, strides[0]),
            slice(left, left + (columns - 1) * strides[1] + 1, strides[1]),
        )

    outputs = sum(
        np.einsum("nhwgc,cgf->nhwgf", grouped[seen_by(row, column)], taps[row, column])
        for row, column in np.ndindex(height, width)
    ).reshape(len(inputs), rows, columns, filters)

    def pull(gradient):
        gradient = np.asarray(gradient, "float64")
        gradient = gradient.reshape(*gradient.shape[:3], groups, filters // groups)
        to_inputs, to_kernel = np.zeros_like(grouped), np.zeros_like(taps)
        for row, column in np.ndindex(height, width):
            seen = seen_by(row, column)
            to_inputs[seen] += np.einsum(
                "nhwgf,cgf->nhwgc", gradient, taps[row, column]
            )
            to_kernel[row, column] = np.einsum(
                "nhwgc,nhwgf->cgf", grouped[seen], gradient
            )
        unpadded = to_inputs.reshape(padded.shape)[
            :,
            above_below[0] : above_below[0] + inputs.shape[1],
            left_right[0] : left_right[0] + inputs.shape[2],
        ]
        return unpadded, to_kernel.reshape(kernel.shape)

    return outputs, pull
