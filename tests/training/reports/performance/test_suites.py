"""The table of suites."""

import pytest

from keras_roots import create_model, list_models
from keras_roots.training.reports.performance.suites import ROOTS, SUITES, choose


def test_roots_are_the_largest_powers_of_two():
    # Networks with fewer filters have their dense form to be held against.
    thin = {"root_nin_thin", "root_resnet50_thin"}
    assert {*list_models()} - {*ROOTS} == thin
    for family, root in ROOTS.items():
        topology = "column" if family == "root_alexnet" else "root"
        # The message names the layer that cannot be divided further; 32 divides all.
        with pytest.raises(ValueError, match=rf"root={2 * root}.*\b{root}\b"):
            create_model(family, root=2 * root, topology=topology)


@pytest.mark.parametrize("name", SUITES)
def test_suites_can_be_measured(name):
    trials = SUITES[name].trials()
    assert len(set(trials)) == len(trials)
    assert all(hasattr(trial, key) for trial in trials for key in SUITES[name].apart)
    groups = {}
    for trial in trials:
        key = tuple(getattr(trial, part) for part in SUITES[name].apart)
        groups.setdefault(key, []).append(trial)
    # All of a comparison are in memory at once.
    assert max(map(len, groups.values())) <= 26
    fewer = SUITES[name].quick().trials()
    assert set(fewer) <= set(trials) and len(fewer) < len(trials)


def test_sizes_and_roots_of_the_suites():
    trials = SUITES["sizes"].trials()
    assert {trial.side for trial in trials} == {96, 128, 160, 192, 224, 288, 352, 448}
    trials = SUITES["groups"].trials()
    roots = {trial.root for trial in trials if trial.family == "root_resnet50"}
    assert roots == {1, 2, 4, 8, 16, 32, 64}


def test_suites_are_chosen_by_name_in_their_order():
    assert list(choose(["sizes", "ratios"])) == ["ratios", "sizes"]
    assert list(choose(())) == list(choose(None)) == list(SUITES)
