"""Groups of inputs and filters of a kernel, against all that there are."""

import itertools

import numpy as np
import pytest

from keras_roots.groups.assignment import energy_matrix, group_channels, plain_grouping


def _even(shape, groups):
    return [(shape[0] // groups, shape[1] // groups)] * groups


def _cut(energy, grouping, sizes):
    """Part of the energy that lies in the blocks on the diagonal."""
    ordered = energy[np.ix_(grouping.inputs, grouping.filters)]
    row = column = kept = 0
    for rows, columns in sizes:
        kept += ordered[row : row + rows, column : column + columns].sum()
        row, column = row + rows, column + columns
    assert (row, column) == energy.shape
    return kept / energy.sum()


def _blocks(sizes, seed=0, noise=0.0):
    """Kernel whose shuffled channels see their own group, and the groups of both."""
    rng = np.random.default_rng(seed)
    inputs, filters = (
        rng.permutation(np.repeat(np.arange(len(sizes)), side))
        for side in zip(*sizes, strict=True)
    )
    kernel = rng.normal(size=(3, 3, len(inputs), len(filters)))
    kernel *= np.where(inputs[:, None] == filters, 1.0, noise)
    return kernel, inputs, filters


def _random(shape, seed=0):
    return energy_matrix(np.random.default_rng(seed).normal(size=(3, 3, *shape)))


def _arrangements(sizes):
    """Every way to put channels into groups of these sizes, one-hot."""
    labels = [group for group, size in enumerate(sizes) for _ in range(size)]
    distinct = sorted(set(itertools.permutations(labels)))
    return np.eye(len(sizes))[np.array(distinct)]


def _optimum(energy, sizes):
    inputs, filters = (_arrangements(side) for side in zip(*sizes, strict=True))
    kept = np.einsum("acg,cn,bng->ab", inputs, energy, filters, optimize=True)
    return kept.max() / energy.sum()


def test_energy_is_that_of_the_weights():
    kernel = np.random.default_rng(0).normal(size=(3, 2, 4, 5)).astype("float32")
    energy = energy_matrix(kernel)
    assert energy.shape == (4, 5) and energy.dtype == "float64"
    for channel, index in itertools.product(range(4), range(5)):
        want = sum(float(w) ** 2 for w in kernel[:, :, channel, index].flat)
        np.testing.assert_allclose(energy[channel, index], want)


def test_the_scale_of_inputs_is_that_of_their_weights():
    rng = np.random.default_rng(0)
    kernel, scale = rng.normal(size=(3, 3, 4, 5)), rng.uniform(size=4)
    np.testing.assert_allclose(
        energy_matrix(kernel, scale), energy_matrix(kernel * scale[:, None])
    )


PLANTED = [
    _even((8, 8), 2),
    _even((16, 64), 4),
    _even((96, 48), 8),
    _even((96, 192), 16),
    _even((32, 32), 32),
    _even((64, 128), 32),
    [(2, 6), (8, 4), (6, 6)],
    [(1, 3), (3, 1), (20, 12), (8, 16)],
]


@pytest.mark.parametrize("sizes", PLANTED, ids=str)
@pytest.mark.parametrize("restarts", [0, 8])
def test_shuffled_blocks_are_found(sizes, restarts):
    kernel, inputs, filters = _blocks(sizes)
    energy = energy_matrix(kernel)
    grouping = group_channels(energy, sizes=sizes, restarts=restarts)
    assert grouping.kept == 1
    assert _cut(energy, grouping, sizes) == pytest.approx(1, abs=1e-12)
    start = 0
    for rows, _ in sizes:  # each group takes its inputs from one planted group
        run = grouping.inputs[start : start + rows]
        assert len(set(inputs[run].tolist())) == 1
        start += rows


@pytest.mark.parametrize("sizes", PLANTED[1:4] + PLANTED[-1:], ids=str)
def test_blocks_in_noise_are_found(sizes):
    kernel, inputs, filters = _blocks(sizes, noise=0.5)
    energy = energy_matrix(kernel)
    grouping = group_channels(energy, sizes=sizes, restarts=2)
    planted = energy[inputs[:, None] == filters].sum() / energy.sum()
    assert grouping.kept >= planted - 1e-12
    assert planted > plain_grouping(energy, sizes=sizes).kept + 0.1


TINY = [
    _even((4, 4), 2),
    _even((6, 4), 2),
    _even((6, 6), 3),
    _even((4, 4), 4),
    [(1, 2), (2, 1), (2, 3)],
    [(1, 4), (5, 1)],
]


@pytest.mark.parametrize("sizes", TINY, ids=str)
def test_the_optimum_of_tiny_problems_is_found(sizes):
    shape = tuple(map(sum, zip(*sizes, strict=True)))
    for seed in range(4):
        energy = _random(shape, seed) ** 2
        grouping = group_channels(energy, sizes=sizes)
        assert grouping.kept == pytest.approx(_optimum(energy, sizes), rel=1e-12)


@pytest.mark.parametrize("sizes", TINY, ids=str)
def test_with_one_side_fixed_the_other_is_optimal(sizes):
    shape = tuple(map(sum, zip(*sizes, strict=True)))
    ends = [np.cumsum(side)[:-1] for side in zip(*sizes, strict=True)]
    rng = np.random.default_rng(1)
    for seed in range(4):
        energy = _random(shape, seed) ** 2
        order = rng.permutation(shape[0])
        fixed = group_channels(energy, sizes=sizes, inputs=order)
        np.testing.assert_array_equal(fixed.inputs, order)
        sums = [energy[run].sum(axis=0) for run in np.split(order, ends[0])]
        kept = np.einsum("gn,bng->b", sums, _arrangements([n for _, n in sizes]))
        assert fixed.kept == pytest.approx(kept.max() / energy.sum(), rel=1e-12)
        mirrored = [(rows, columns) for columns, rows in sizes]
        other = group_channels(energy.T, sizes=mirrored, filters=order.tolist())
        np.testing.assert_array_equal(other.filters, order)
        assert other.kept == pytest.approx(fixed.kept, rel=1e-12)


def test_with_both_sides_fixed_nothing_is_chosen():
    energy = _random((8, 12))
    rng = np.random.default_rng(0)
    inputs, filters = rng.permutation(8), rng.permutation(12)
    fixed = group_channels(energy, 4, inputs=inputs, filters=filters)
    np.testing.assert_array_equal(fixed.inputs, inputs)
    np.testing.assert_array_equal(fixed.filters, filters)
    assert fixed.kept == pytest.approx(_cut(energy, fixed, _even((8, 12), 4)))


@pytest.mark.parametrize("shape,groups", [((16, 16), 4), ((24, 40), 8), ((5, 5), 5)])
def test_kept_is_what_the_groups_keep(shape, groups):
    energy = _random(shape)
    for grouping in (group_channels(energy, groups), plain_grouping(energy, groups)):
        assert sorted(grouping.inputs) == list(range(shape[0]))
        assert sorted(grouping.filters) == list(range(shape[1]))
        want = _cut(energy, grouping, _even(shape, groups))
        assert grouping.kept == pytest.approx(want, rel=1e-12)


def test_unequal_sizes_are_kept():
    energy, sizes = _random((12, 10)), [(2, 5), (7, 1), (3, 4)]
    for grouping in (
        group_channels(energy, sizes=sizes, restarts=2),
        group_channels(energy, sizes=sizes, inputs=range(12)),
        plain_grouping(energy, sizes=sizes),
    ):
        assert grouping.kept == pytest.approx(_cut(energy, grouping, sizes))


@pytest.mark.parametrize("restarts", [0, 1])
def test_never_worse_than_slices(restarts):
    # Slices are the optimum of the first; the others are random.
    planted = np.kron(np.eye(4), np.ones((4, 4))) + 0.3 * _random((16, 16)) / 9
    for energy in (planted, *(_random((16, 16), seed) for seed in range(3))):
        plain = plain_grouping(energy, 4)
        assert group_channels(energy, 4, restarts=restarts).kept >= plain.kept
    best = group_channels(planted, 4)
    np.testing.assert_array_equal(best.inputs, range(16))
    np.testing.assert_array_equal(best.filters, range(16))


def test_the_input_is_left_alone():
    energy, order = _random((8, 8)), np.arange(8)[::-1].copy()
    energy_before, order_before = energy.copy(), order.copy()
    grouping = group_channels(energy, 2, inputs=order)
    grouping.inputs[:] = 0
    np.testing.assert_array_equal(order, order_before)
    group_channels(energy, 2)
    np.testing.assert_array_equal(energy, energy_before)


def test_dead_inputs_and_filters():
    energy = _random((12, 12))
    energy[:5] = energy[:, 8:] = 0
    grouping = group_channels(energy, 4)
    assert grouping.kept == pytest.approx(_cut(energy, grouping, _even((12, 12), 4)))
    # The live ones, 7 and 8, fit in three groups: 9 + 9 + 2 of their 56 pairs.
    assert grouping.kept > 20 / 56
    assert group_channels(np.zeros((4, 4)), 2).kept == 1


def test_one_group_keeps_all_and_changes_nothing():
    grouping = group_channels(_random((6, 9)), 1)
    assert grouping.kept == 1
    np.testing.assert_array_equal(grouping.inputs, range(6))
    np.testing.assert_array_equal(grouping.filters, range(9))


@pytest.mark.parametrize(
    "arguments,message",
    [
        (dict(groups=4), r"`groups` must divide the 6 inputs.*groups=4.*\[1, 3\]"),
        (dict(groups=6), "groups=6"),
        (dict(groups=0), "groups=0"),
        (dict(groups=3.0), "groups=3.0"),
        (dict(groups=True), "groups=True"),
        (dict(groups="3"), "groups='3'"),
        (dict(groups=None), "`groups` and `sizes`"),
        (dict(sizes=[(6, 9)]), "`groups` and `sizes`"),
        (dict(groups=None, sizes=[(3, 4), (3, 4)]), "`sizes` must.*6 inputs and 9"),
        (dict(groups=None, sizes=[(6, 4), (0, 5)]), "`sizes`"),
        (dict(groups=None, sizes=[(6, 9, 1)]), "`sizes`"),
        (dict(groups=None, sizes=[(3, 4), (3,)]), "`sizes`"),
        (dict(groups=None, sizes=[(3.0, 4.0), (3.0, 5.0)]), "`sizes`"),
        (dict(groups=None, sizes=3), "sizes=3"),
        (dict(energy=np.full((6, 9), -1.0)), "`energy`.*54 not valid"),
        (dict(energy=np.full((6, 9), np.nan)), "`energy`"),
        (dict(energy=np.full((6, 9), np.inf)), "`energy`"),
        (dict(energy=np.ones(6)), r"`energy`.*shape \(6,\)"),
        (dict(energy=np.ones((0, 9))), "`energy`"),
        (dict(inputs=[0, 1, 2]), r"`inputs` must be a permutation of range\(6\)"),
        (dict(inputs=[0, 1, 2, 3, 4, 4]), "`inputs`"),
        (dict(inputs=[1, 2, 3, 4, 5, 6]), "`inputs`"),
        (dict(filters=range(6)), r"`filters` must be a permutation of range\(9\)"),
        (dict(filters=np.arange(9).reshape(3, 3)), "`filters`"),
        (dict(restarts=-1), "`restarts`.*restarts=-1"),
        (dict(restarts=2.0), "restarts=2.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        group_channels(**{"energy": np.ones((6, 9)), "groups": 3, **arguments})


def test_bad_arguments_of_slices_are_refused():
    with pytest.raises(ValueError, match="`groups`.*groups=4"):
        plain_grouping(np.ones((6, 9)), 4)
    with pytest.raises(ValueError, match="`energy`"):
        plain_grouping(-np.ones((6, 9)), 3)


@pytest.mark.parametrize(
    "kernel,scale,message",
    [
        (np.ones((3, 4, 5)), None, r"`kernel`.*shape \(3, 4, 5\)"),
        (np.full((1, 1, 2, 2), np.nan), None, "`kernel`.*4 numbers not finite"),
        (np.ones((1, 1, 2, 3)), np.ones(3), "`input_scale`.*2 inputs"),
        (np.ones((1, 1, 2, 3)), [1.0, -1.0], "`input_scale`"),
        (np.ones((1, 1, 2, 3)), [1.0, np.nan], "`input_scale`"),
    ],
)
def test_bad_kernels_are_refused(kernel, scale, message):
    with pytest.raises(ValueError, match=message):
        energy_matrix(kernel, scale)
