"""Factorisations, against products of the factors and NumPy's decompositions."""

import numpy as np
import pytest

from keras_roots.convolutions.responses import ResponseStatistics
from keras_roots.lowrank.methods import METHODS, Target

SHAPES = {1: (3, 5, 4, 12), 2: (3, 5, 4, 12), 3: (1, 3, 2, 12)}
OF_THE_KERNEL = [name for name in METHODS if not METHODS[name].by_responses]
CASES = [(name, groups) for name in OF_THE_KERNEL for groups in SHAPES]


def _kernel(groups, zero=False):
    kernel = np.random.default_rng(groups).normal(size=SHAPES[groups])
    return 0 * kernel if zero else kernel


def _product(first, second, groups):
    """The kernel of both convolutions together, filter by filter."""
    height, _, channels, _ = first.shape
    if second.shape[1] == 1:
        width = first.shape[1]
    else:
        width = second.shape[1]
    rank, filters = second.shape[2], second.shape[3]
    kernel = np.zeros((height, width, channels, filters))
    for i in range(filters):
        group = i // (filters // groups)
        for m in range(rank):
            one = first[..., group * rank + m]
            kernel[..., i] += one * second[0, :, m, i][None, :, None]
    return kernel


def _relative_error(found, kernel):
    return ((found - kernel) ** 2).sum() / (kernel**2).sum()


@pytest.mark.parametrize(("name", "groups"), CASES)
def test_error_is_that_of_the_product(name, groups):
    target = Target(_kernel(groups), groups)
    method = METHODS[name]
    errors = method.errors(target)
    full = method.full_rank(target.kernel.shape, groups) // groups
    for rank in range(1, full + 1):
        factors = method.factorise(target, rank)
        assert factors.shift is None
        shapes = method.scheme.shapes(target.kernel.shape, groups, rank * groups)
        assert (factors.first.shape, factors.second.shape) == shapes
        product = _product(factors.first, factors.second, groups)
        found = _relative_error(product, target.kernel)
        assert errors(rank) == pytest.approx(found, abs=1e-12)
    assert errors(full) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("name", "groups"), CASES)
def test_filters_that_are_all_zero(name, groups):
    target = Target(_kernel(groups, zero=True), groups)
    assert METHODS[name].errors(target)(1) == 0
    factors = METHODS[name].factorise(target, 1)
    assert np.isfinite(factors.first).all() and np.isfinite(factors.second).all()
    assert not _product(factors.first, factors.second, groups).any()


@pytest.mark.parametrize("name", ["pca", "svd"])
def test_the_best_subspace(name):
    """No approximation of this rank is closer (Eckart and Young)."""
    kernel = _kernel(1)
    values = np.linalg.svd(kernel.reshape(-1, 12), compute_uv=False) ** 2
    errors = METHODS[name].errors(Target(kernel, 1))
    for rank in (1, 4, 11):
        assert errors(rank) == pytest.approx(values[rank:].sum() / values.sum())


def test_pca_has_an_orthonormal_basis():
    basis = METHODS["pca"].factorise(Target(_kernel(1), 1), 5).first.reshape(-1, 5)
    np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-12)


@pytest.mark.parametrize("name", ["svd", "separable"])
def test_factors_share_the_singular_values(name):
    first, second, _ = METHODS[name].factorise(Target(_kernel(1), 1), 5)
    np.testing.assert_allclose(
        (first**2).sum((0, 1, 2)), (second**2).sum((0, 1, 3)), rtol=1e-9
    )


def test_separable_is_the_best_by_rows_and_columns():
    kernel = _kernel(1)
    matrix = kernel.transpose(0, 2, 1, 3).reshape(3 * 4, 5 * 12)
    values = np.linalg.svd(matrix, compute_uv=False) ** 2
    errors = METHODS["separable"].errors(Target(kernel, 1))
    assert errors(7) == pytest.approx(values[7:].sum() / values.sum())


def test_centroids_are_the_means_of_their_filters():
    """Twelve filters in three heaps."""
    rng = np.random.default_rng(0)
    heaps = rng.normal(size=(3, 60))
    labels = np.arange(12) % 3
    filters = heaps[labels] + 0.01 * rng.normal(size=(12, 60))
    kernel = filters.T.reshape(3, 5, 4, 12)
    factors = METHODS["kmeans"].factorise(Target(kernel, 1), 3)
    chosen = factors.second[0, 0]
    assert set(chosen.ravel()) == {0, 1}
    np.testing.assert_array_equal(chosen.sum(0), 1)
    for i in range(12):
        centroid = factors.first.reshape(60, 3)[:, chosen[:, i].argmax()]
        mean = filters[labels == labels[i]].mean(axis=0)
        np.testing.assert_allclose(centroid, mean, atol=1e-12)


def test_more_clusters_than_distinct_filters():
    """Every filter is kept, by some of the centroids."""
    kernel = np.repeat(_kernel(1)[..., :2], 6, axis=-1)
    target = Target(kernel, 1)
    assert METHODS["kmeans"].errors(target)(5) == pytest.approx(0, abs=1e-12)
    factors = METHODS["kmeans"].factorise(target, 5)
    np.testing.assert_allclose(_product(*factors[:2], 1), kernel, atol=1e-12)


def _responding(groups):
    """A kernel, inputs that are far from white, and statistics of the responses."""
    rng = np.random.default_rng(0)
    kernel = _kernel(groups)
    size, per_group = np.prod(kernel.shape[:3]), 12 // groups
    scales = np.geomspace(1, 0.05, size)
    inputs = 1 + scales * rng.normal(size=(groups, 500, size))
    filters = kernel.reshape(size, groups, per_group).transpose(1, 0, 2)
    responses = inputs @ filters
    centred = responses - responses.mean(1, keepdims=True)
    covariance = centred.transpose(0, 2, 1) @ centred / 500
    statistics = ResponseStatistics(responses.mean(1).ravel(), covariance)
    return kernel, inputs, responses, statistics


def _columns(first, inputs, groups):
    """What filters along the height answer, column by column of each group's patch."""
    height, _, channels, rank = first.shape
    samples = inputs.shape[1]
    patches = inputs.reshape(groups, samples, height, -1, channels)
    filters = first[:, 0].reshape(height, channels, groups, rank // groups)
    found = np.einsum("gsijc,icgm->gsmj", patches, filters)
    return found.reshape(groups, samples, -1)


def _of_basis(kernel, groups, rank, inputs, responses):
    """Statistics of the answers of the filters along the height."""
    basis = METHODS["separable_responses"].basis(Target(kernel, groups), rank)
    seen = _columns(basis, inputs, groups)
    centred = [x - x.mean(1, keepdims=True) for x in (seen, responses)]
    return ResponseStatistics(
        seen.mean(1).ravel(),
        centred[0].transpose(0, 2, 1) @ centred[0] / 500,
        responses.mean(1).ravel(),
        centred[0].transpose(0, 2, 1) @ centred[1] / 500,
        (centred[1] ** 2).sum() / 500,
    )


def _answers(factors, inputs, groups):
    """Responses of both convolutions together."""
    kernel = _product(factors.first, factors.second, groups)
    filters = kernel.reshape(inputs.shape[-1], groups, -1).transpose(1, 0, 2)
    answers = inputs @ filters
    if factors.shift is not None:
        answers = answers + factors.shift.reshape(groups, 1, -1)
    return answers


@pytest.mark.parametrize("groups", SHAPES)
def test_error_of_the_responses(groups):
    kernel, inputs, responses, statistics = _responding(groups)
    target = Target(kernel, groups, statistics)
    method = METHODS["responses"]
    errors = method.errors(target)
    variance = ((responses - responses.mean(1, keepdims=True)) ** 2).sum()
    full = method.full_rank(kernel.shape, groups) // groups
    for rank in range(1, full + 1):
        answers = _answers(method.factorise(target, rank), inputs, groups)
        error = ((answers - responses) ** 2).sum() / variance
        assert errors(rank) == pytest.approx(error, abs=1e-9)
        np.testing.assert_allclose(answers.mean(1), responses.mean(1), atol=1e-9)
    assert errors(full) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("groups", SHAPES)
def test_error_of_separable_responses(groups):
    """That of the best filters along the width, by NumPy's least squares."""
    kernel, inputs, responses, _ = _responding(groups)
    method = METHODS["separable_responses"]
    full = method.full_rank(kernel.shape, groups) // groups
    found = _of_basis(kernel, groups, full, inputs, responses)
    target = Target(kernel, groups, found)
    errors = method.errors(target)
    centred = responses - responses.mean(1, keepdims=True)
    variance = (centred**2).sum()
    for rank in range(1, full + 1):
        factors = method.factorise(target, rank)
        seen = _columns(factors.first, inputs, groups)
        seen -= seen.mean(1, keepdims=True)
        left = sum(
            ((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum()
            for x, y in zip(seen, centred, strict=True)
        )
        assert errors(rank) == pytest.approx(left / variance, abs=1e-6)
        answers = _answers(factors, inputs, groups)
        np.testing.assert_allclose(answers.mean(1), responses.mean(1), atol=1e-9)
        error = ((answers - responses) ** 2).sum() / variance
        assert left / variance - 1e-9 <= error < left / variance + 0.002
    assert errors(full) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(answers, responses, atol=1e-6)


def test_errors_of_ranks_beyond_those_measured_are_those_of_the_highest():
    kernel, inputs, responses, _ = _responding(1)
    found = _of_basis(kernel, 1, 4, inputs, responses)
    errors = METHODS["separable_responses"].errors(Target(kernel, 1, found))
    assert errors(5) == errors(4) > 0
    # What stays whole at the full rank must not be said to lose anything.
    assert errors(METHODS["separable_responses"].full_rank(kernel.shape, 1)) == 0


@pytest.mark.parametrize(
    ("by_weights", "by_responses"),
    [("pca", "responses"), ("separable", "separable_responses")],
)
def test_responses_know_the_data(by_weights, by_responses):
    """At equal ranks they are closer to the outputs than the best kernel is."""
    kernel, inputs, responses, statistics = _responding(1)
    if METHODS[by_responses].basis:
        statistics = _of_basis(kernel, 1, 4, inputs, responses)
    target = Target(kernel, 1, statistics)
    left = {
        name: (_answers(METHODS[name].factorise(target, 4), inputs, 1) - responses)
        for name in (by_weights, by_responses)
    }
    assert (left[by_responses] ** 2).sum() < 0.9 * (left[by_weights] ** 2).sum()
