"""Force Regularization from trained weights, beside the same training without a force.

Wen et al., Coordinating Filters for Faster Deep Neural Networks (ICCV 2017), sections 3
and 4: forces between filters lower the ranks of a network that is trained already. The
row of strength 0 is the control: the same epochs at the same rates. Each network is
then decomposed to half of its multiply-adds, by the kernels alone (PCA, as in the
paper) and by what layers answer.
"""

import dataclasses

from keras_roots.training.experiments.rows import Row, error_of, rounded
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import (
    Decompose,
    Decomposition,
    Force,
    Forces,
    Keep,
    Outcome,
)
from keras_roots.training.trainer import get_recipe

PART = 0.5  # of the multiply-adds that decomposing leaves
METHODS = ("pca", "responses")

# Plain momentum. ConvNet: Caffe's 200,000 steps at four times its rate, then two short
# parts at a tenth and a hundredth. ResNet-20: a tenth at half and at three quarters.
RECIPES = {
    "root_convnet": dataclasses.replace(
        get_recipe("root_convnet", "cifar10", epochs=122, learning_rate=0.004),
        milestones=(110 / 122, 116 / 122),
    ),
    "root_resnet20": dataclasses.replace(
        get_recipe("root_resnet20", "cifar10", epochs=120, precision="mixed_bfloat16"),
        milestones=(0.5, 0.75),
        nesterov=False,
    ),
}
# Norm and strengths of the force; a negative one drives filters apart.
STRENGTHS = {
    "root_convnet": {"l2": (0.0, 1e-4, 2e-4, 3e-4), "l1": (1e-5, 3e-5)},
    "root_resnet20": {"l2": (0.0, 5e-6, 1e-5, 2e-5, -5e-6), "l1": (1e-6,)},
}


def _rows() -> tuple[Row, ...]:
    return tuple(
        row
        for model, norms in STRENGTHS.items()
        for norm, strengths in norms.items()
        for strength in strengths
        for row in _rows_of(model, norm, strength)
    )


def _rows_of(model, norm, strength) -> list[Row]:
    forces = Forces(strength=strength, norm=norm)
    trained = Force(recipe=RECIPES[model], forces=forces, family=model)
    stages = (Keep("baseline"), trained)
    network, name = f"{model}:1", f"{model}-{norm}-{strength:g}"
    labels = {"network": network, "norm": norm, "strength": strength}
    rows = [Row(name, network, "cifar10", stages, labels | {"method": None})]
    for method in METHODS:
        how = Decomposition(budget=PART, method=(method,))
        rows.append(
            Row(
                f"{name}-{method}",
                network,
                "cifar10",
                (*stages, Decompose(settings=how)),
                labels | {"method": method},
            )
        )
    return rows


def columns(outcome: Outcome) -> dict:
    """Returns errors before, after the training, and decomposed; ranks and costs.

    Args:
        outcome: What a row has left.
    """
    results = {name: outcome.result(name) for name in outcome.names}
    forced, last = results["force"], results.get("decompose", {})
    return {
        "baseline_error": error_of(results["baseline"]),
        "error": error_of(forced),
        "decomposed_error": error_of(last),
        "mean_rank_ratio": rounded(last.get("mean_rank_ratio")),
        "macs": (last or forced or results["baseline"]).get("macs"),
        "epochs": forced.get("epochs"),
        "images": results["baseline"].get("images"),
    }


TABLE = Table(
    rows=_rows(),
    columns=columns,
    shown={
        "network": ("network", "`{}`"),
        "norm": ("norm", "{}"),
        "strength": ("strength", "{:g}"),
        "epochs": ("epochs", "{}"),
        "error": ("error, trained", "{:.2%}"),
        "method": ("decomposed by", "{}"),
        "macs": ("multiply-adds", "{:,}"),
        "decomposed_error": ("error, decomposed", "{:.2%}"),
    },
)
