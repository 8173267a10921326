"""Means and products of deviations, added up batch by batch, for least squares."""

import numpy as np


class Moments:
    """Running moments of samples, filter group by filter group, in float64.

    Products of deviations from the mean do not lose the digits that a difference of
    large sums would (Chan et al., Updating Formulae, 1979).

    Attributes:
        count: Samples added.
        mean: Mean of what was seen, `[groups, width]`.
        answer_mean: Mean of what was answered, `[groups, answers]`.
        products: Sums of products of deviations, of what was seen with itself and with
            the answers, `[groups, width, width + answers]`.
        answer_squares: Sum of squares of the deviations of the answers.
    """

    def __init__(self):
        self.count = 0
        self.mean = self.answer_mean = self.products = self.answer_squares = 0.0

    def add(self, seen: np.ndarray, answers: np.ndarray | None = None) -> None:
        """Adds samples.

        Args:
            seen: `[samples, groups, width]`.
            answers: What should be answered to them, `[samples, groups, answers]`;
                `None` for moments of `seen` alone.
        """
        if answers is None:
            answers = seen[..., :0]
        seen, answers = seen.astype("float64"), answers.astype("float64")
        count = len(seen)
        total = self.count + count
        steps = seen.mean(0) - self.mean, answers.mean(0) - self.answer_mean
        # What the batch's mean is off by counts as one more sample.
        weight = np.sqrt(self.count * count / total)
        deviations = [
            np.concatenate([samples - samples.mean(0), weight * step[None]])
            for samples, step in zip((seen, answers), steps, strict=True)
        ]
        self.products += _products(*deviations)
        self.answer_squares += float((deviations[1] ** 2).sum())
        self.mean = self.mean + steps[0] * count / total
        self.answer_mean = self.answer_mean + steps[1] * count / total
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of what was seen within each group, `[groups, width, width]`."""
        return self.products[..., : self.mean.shape[1]] / self.count

    def fit(self, ridge: float, shifted: bool) -> tuple[np.ndarray, np.ndarray]:
        """Fits the answers by least squares to what was seen, group by group.

        Args:
            ridge: What holds weights back, a part of the mean square of what was seen.
            shifted: Whether a constant is fitted too, which nothing holds back.

        Returns:
            Weights `[groups, width, answers]`, and constants `[groups, answers]`, zero
            if not `shifted`.
        """
        width = self.mean.shape[1]
        about = self.count * _products(self.mean[None], self.answer_mean[None])
        raw = self.products + about
        held = ridge * np.trace(raw[..., :width], axis1=1, axis2=2) / width
        used = self.products if shifted else raw
        squares = used[..., :width].copy()
        diagonal = np.arange(width)
        squares[:, diagonal, diagonal] += held[:, None] + np.finfo("float64").tiny
        weights = _solve(squares, used[..., width:])
        shift = self.answer_mean - np.einsum("gw,gwa->ga", self.mean, weights)
        return weights, shift if shifted else np.zeros_like(shift)


def _solve(squares, products) -> np.ndarray:
    """Weights for products, group by group; the least ones where there are several."""
    try:
        return np.linalg.solve(squares, products)
    except np.linalg.LinAlgError:  # inputs that always agree, and no ridge
        pairs = zip(squares, products, strict=True)
        return np.stack([np.linalg.lstsq(*pair, rcond=None)[0] for pair in pairs])


def _products(seen, answers) -> np.ndarray:
    """Products of samples `[samples, groups, ...]`, added up over the samples."""
    seen, answers = seen.swapaxes(0, 1), answers.swapaxes(0, 1)
    transposed = seen.swapaxes(1, 2)
    squares = transposed @ seen
    if not answers.shape[-1]:
        return squares
    return np.concatenate([squares, transposed @ answers], axis=-1)
