"""Schedules of filter groups."""

import numpy as np
import pytest

from keras_roots.models.topology import Grouped, assign_groups, groups_per_stage


# Deep Roots, section 3, and the tables of papers.md.
@pytest.mark.parametrize(
    ("root", "stages", "topology", "groups"),
    [
        (1, 4, "root", (1, 1, 1, 1)),
        (2, 4, "root", (2, 1, 1, 1)),
        (16, 4, "root", (16, 8, 4, 2)),
        (64, 4, "root", (64, 32, 16, 8)),
        (6, 3, "root", (6, 3, 1)),
        (8, 2, "column", (8, 8)),
        (1, 2, "column", (1, 1)),
        (8, 3, "tree", (8, 16, 32)),
        (1, 3, "tree", (1, 1, 1)),
        (8, 1, "root", (8,)),
        ((5, 7), 2, "tree", (5, 7)),
        ([4, 2, 1], 3, "column", (4, 2, 1)),
        (np.int64(4), 2, "root", (4, 2)),
        ((np.int32(4), 1), 2, "root", (4, 1)),
    ],
)
def test_groups_per_stage(root, stages, topology, groups):
    found = groups_per_stage(root, stages, topology)
    assert found == groups
    assert all(type(count) is int for count in found)


@pytest.mark.parametrize("root", [0, -2, 1.0, 2.5, True, None, "8", {8}, "root"])
def test_root_must_count(root):
    with pytest.raises(ValueError, match="`root` must be a positive integer") as error:
        groups_per_stage(root, 3)
    assert f"Received: root={root!r}" in str(error.value)
    assert "tuple of 3" in str(error.value)


@pytest.mark.parametrize("root", [(), (1,), (1, 2, 3), (1, 0), (2, 1.5), (True, 1)])
def test_sequence_must_count_every_stage(root):
    with pytest.raises(ValueError, match="must hold 2 positive integers") as error:
        groups_per_stage(root, 2)
    assert f"Received: root={root!r}" in str(error.value)


def test_unknown_topology():
    with pytest.raises(ValueError, match="'column', 'root', 'tree'.*topology='bush'"):
        groups_per_stage(2, 2, "bush")


LAYERS = (
    Grouped("first", 0, 32, 64),
    Grouped("second", 1, 64, 48),
    Grouped("third", 1, 24, 48),
)


@pytest.mark.parametrize(
    ("root", "topology", "groups"),
    [
        (8, "root", (8, 4)),
        (16, "root", (16, 8)),
        (8, "column", (8, 8)),
        (4, "tree", (4, 8)),
    ],
)
def test_assign_groups(root, topology, groups):
    assert assign_groups(root, LAYERS, topology) == groups


# Stage 0 allows divisors of 32, stage 1 those of 16 and of 24: 1, 2, 4, 8.
@pytest.mark.parametrize(
    ("root", "topology", "layer", "works"),
    [
        (
            3,
            "root",
            "'first' 3 groups for 32 input channels and 64 filters",
            [1, 2, 4, 8, 16],
        ),
        (32, "root", "'third' 16 groups for 24 input channels", [1, 2, 4, 8, 16]),
        (16, "column", "'third' 16 groups", [1, 2, 4, 8]),
        (8, "tree", "'third' 16 groups", [1, 2, 4]),
    ],
)
def test_groups_that_do_not_divide(root, topology, layer, works):
    with pytest.raises(ValueError, match="groups that divide its channels") as error:
        assign_groups(root, LAYERS, topology)
    message = str(error.value)
    assert layer in message
    assert f"Received: root={root}, topology={topology!r}" in message
    assert message.endswith(f"Roots that work: {works}")
    for candidate in works:
        assign_groups(candidate, LAYERS, topology)


def test_groups_of_one_stage_that_do_not_divide():
    with pytest.raises(ValueError, match="'third' 16 groups") as error:
        assign_groups((1, 16), LAYERS)
    assert str(error.value).endswith("Groups that work for stage 1: [1, 2, 4, 8]")
