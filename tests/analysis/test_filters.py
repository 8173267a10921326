import numpy as np
import pytest
import scipy.linalg
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from keras_roots.analysis.filters import plot_filters, project_filters


def _kernel(filters=120, shape=(2, 2, 2), clusters=4, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(*shape, clusters))
    kernel = centers[..., np.arange(filters) % clusters]
    lengths = rng.uniform(0.1, 10, filters)
    return (kernel + noise * rng.normal(size=kernel.shape)) * lengths


def _directions(kernel):
    filters = kernel.reshape(-1, kernel.shape[-1]).T
    return filters / np.linalg.norm(filters, axis=1, keepdims=True)


def _assert_same_up_to_sign(points, want):
    want = want - want.mean(axis=0)
    signs = np.sign((points * want).sum(axis=0))
    np.testing.assert_allclose(points, want * signs, atol=1e-6 * np.ptp(want))


def test_the_projection_is_that_of_scikit_learn():
    kernel = _kernel()
    points, labels = project_filters(kernel, shrinkage=0)
    reference = LinearDiscriminantAnalysis(solver="eigen")
    directions = _directions(kernel)
    want = reference.fit(directions, labels).transform(directions)[:, :2]
    _assert_same_up_to_sign(points, want)


def test_shrinkage_where_weights_outnumber_filters():
    """Fisher's criterion by a loop over filters, and SciPy's generalised solver."""
    kernel = _kernel(filters=32, shape=(5, 5, 3))
    points, labels = project_filters(kernel, shrinkage=0.2)
    directions = _directions(kernel)
    mean = directions.mean(axis=0)
    within, between = np.zeros((75, 75)), np.zeros((75, 75))
    for direction, label in zip(directions, labels, strict=True):
        center = directions[labels == label].mean(axis=0)
        within += np.outer(direction - center, direction - center) / 32
        between += np.outer(center - mean, center - mean) / 32
    within = 0.8 * within + 0.2 * np.trace(within) / 75 * np.eye(75)
    _, vectors = scipy.linalg.eigh(between, within)
    _assert_same_up_to_sign(points, directions @ vectors[:, [-1, -2]])


def test_clusters_are_found_and_lie_apart():
    points, labels = project_filters(_kernel(noise=0.05))
    for cluster in range(4):
        assert len(set(labels[cluster::4].tolist())) == 1
    centers = np.array([points[labels == cluster].mean(axis=0) for cluster in range(4)])
    radius = max(
        np.linalg.norm(points[labels == cluster] - centers[cluster], axis=1).max()
        for cluster in range(4)
    )
    gaps = np.linalg.norm(centers[:, None] - centers, axis=2)[~np.eye(4, dtype=bool)]
    assert gaps.min() > 3 * radius


def test_the_length_of_a_filter_does_not_matter():
    kernel = _kernel()
    points, labels = project_filters(kernel)
    scaled, same = project_filters(kernel * np.random.default_rng(1).uniform(1, 9, 120))
    np.testing.assert_allclose(scaled, points, atol=1e-8)
    np.testing.assert_array_equal(same, labels)


@pytest.mark.parametrize("noise", [0.0, 1e-9])
@pytest.mark.parametrize("clusters", [1, 3])
def test_filters_that_coincide(clusters, noise):
    points, _ = project_filters(_kernel(clusters=clusters, noise=noise), 3)
    assert np.isfinite(points).all()


def test_filters_of_zeros():
    kernel = _kernel()
    kernel[..., :5] = 0
    points, labels = project_filters(kernel)
    assert np.isfinite(points).all()
    assert len(set(labels[:5].tolist())) == 1


@pytest.mark.parametrize(
    "arguments,message",
    [
        (dict(clusters=2), "integer, 3 or more.*clusters=2"),
        (dict(clusters=True), "clusters=True"),
        (dict(seed=-1), "seed=-1"),
        (dict(clusters=120), "fewer than the 120 filters.*clusters=120"),
        (dict(shrinkage=1.5), "shrinkage=1.5"),
        (dict(kernel=np.ones((3, 4))), r"shape \(3, 4\)"),
        (dict(kernel=np.full((1, 1, 3, 9), np.nan)), "finite"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        project_filters(**{"kernel": _kernel(), **arguments})


def test_the_picture_has_a_panel_per_network(drawn, tmp_path):
    kernels = {"baseline": _kernel(noise=1), "coordinated": _kernel(40, noise=0.1)}
    plot_filters(kernels, tmp_path / "filters.png", clusters=5, seed=3)
    (figure,) = drawn
    assert [axes.get_title() for axes in figure.axes] == [
        "baseline (120 filters)",
        "coordinated (40 filters)",
    ]
    for axes, kernel in zip(figure.axes, kernels.values(), strict=True):
        points, labels = project_filters(kernel, 5, 3)
        assert len(axes.lines) == len({line.get_marker() for line in axes.lines}) == 5
        for cluster, line in enumerate(axes.lines):
            np.testing.assert_array_equal(line.get_xydata(), points[labels == cluster])


def test_a_picture_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`kernels`"):
        plot_filters({}, tmp_path / "filters.png")
