"""Model cards of released networks, written from the zoo's index.

Sections as in Mitchell et al., Model Cards for Model Reporting (2019).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from keras_roots import models, utils
from keras_roots.models import NetworkName
from keras_roots.utils import markdown_table

FOLDER = "cards"
PROVENANCE = ("command", "hardware", "versions", "date")


@dataclasses.dataclass(frozen=True)
class Family:
    """Text of an architecture's card.

    Attributes:
        title: Name of the architecture.
        constructor: Its name in `keras_roots`.
        paper: The paper that it is from.
        description: A sentence or two.
    """

    title: str
    constructor: str
    paper: str
    description: str


_DEEP_ROOTS = (
    "Ioannou, Robertson, Cipolla, Criminisi, "
    "[Deep Roots](https://arxiv.org/abs/1605.06489), CVPR 2017"
)
_FORCE = (
    "Wen, Xu, Wu, Wang, Chen, Li, "
    "[Coordinating Filters for Faster Deep Neural Networks]"
    "(https://arxiv.org/abs/1703.09746), ICCV 2017"
)
_GROUPS = (
    "`root` is the number of filter groups of the first stage with groups; they halve "
    "from stage to stage, stay (`column`) or double (`tree`). `root=1` is the dense "
    "network."
)

FAMILIES = {
    "root_nin": Family(
        "Network in Network",
        "RootNiN",
        _DEEP_ROOTS,
        f"Nine convolutions in three stages, with filter groups. {_GROUPS}",
    ),
    "root_nin_thin": Family(
        "Network in Network with fewer filters",
        "RootNiNThin",
        _DEEP_ROOTS,
        "Network in Network with 128 filters in place of 192: dense, it has the "
        f"multiply-adds of `root_nin` with 8 groups. {_GROUPS}",
    ),
    "root_resnet50_thin": Family(
        "ResNet-50 with fewer filters",
        "RootResNet50Thin",
        _DEEP_ROOTS,
        "ResNet-50 with three quarters of the filters: dense, it has about the "
        f"multiply-adds of `root_resnet50` with 64 groups. {_GROUPS}",
    ),
    "root_convnet": Family(
        "ConvNet (Caffe's cifar10_full)",
        "RootConvNet",
        _FORCE,
        "Three 5x5 convolutions and a dense layer.",
    ),
    "root_resnet20": Family(
        "ResNet-20",
        "RootResNet20",
        _FORCE,
        "The residual network of 20 layers for CIFAR-10.",
    ),
    "root_resnet50": Family(
        "ResNet-50",
        "RootResNet50",
        _DEEP_ROOTS,
        f"The residual network of 50 layers, with filter groups. {_GROUPS}",
    ),
    "root_resnet200": Family(
        "ResNet-200",
        "RootResNet200",
        _DEEP_ROOTS,
        f"The pre-activation residual network, with filter groups. {_GROUPS}",
    ),
    "root_googlenet": Family(
        "GoogLeNet",
        "RootGoogLeNet",
        _DEEP_ROOTS,
        f"Inception modules with BatchNorm and filter groups. {_GROUPS}",
    ),
    "root_alexnet": Family(
        "AlexNet",
        "RootAlexNet",
        _DEEP_ROOTS,
        f"Caffe's AlexNet with filter groups. {_GROUPS}",
    ),
}

# The images, and the conditions of their use.
DATASETS = {
    "cifar10": (
        "[CIFAR-10](https://www.cs.toronto.edu/~kriz/cifar.html): 60,000 colour images "
        "of 32x32 pixels in ten classes, of which 10,000 are for testing "
        "(Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009). "
        "They were collected from the web, and carry no licence of their own."
    ),
    "imagenette": (
        "[Imagenette](https://github.com/fastai/imagenette): photographs of ten easy "
        "classes of ImageNet, whose terms of use they are under."
    ),
}

# How weights were trained, by the part of their name after that of the data set.
_VARIANTS = {
    "": "trained on the data set alone",
    "force-l2": "then trained on with the l2-norm force between filters",
    "force-l1": "then trained on with the l1-norm force between filters",
    "force-l2-decomposed": "and decomposed by PCA, 5 % error per layer, and fine-tuned",
    "force-l1-decomposed": "and decomposed by PCA, 5 % error per layer, and fine-tuned",
}

_INTENDED_USE = (
    "Examples, comparisons of cheap networks, and a start for training on related "
    "small images. The networks tell apart the classes they were trained on and "
    "nothing else: not for decisions about people, nor where an error does harm."
)
_EVALUATION = (
    'LiteRT files are exported with `optimize="latency"`, those in int8 calibrated on '
    "500 training images. `keras-roots-evaluate` with `--model`, `--root`, "
    "`--topology` and `--weights` gives these figures again."
)
_COLUMNS = (
    "network",
    "weights",
    "multiply-adds",
    "parameters",
    "top-1, Keras",
    "LiteRT float32",
    "LiteRT int8",
    "int8 file",
)


def write(zoo, entries: Sequence[dict]) -> list[Path]:
    """Writes the card of every family with released networks.

    Args:
        zoo: Folder of the zoo.
        entries: The entries of its index.

    Returns:
        The files, `cards/FAMILY.md`.

    Raises:
        OSError: They cannot be written.
    """
    folder = Path(zoo, FOLDER)
    folder.mkdir(exist_ok=True)
    paths = []
    for family in dict.fromkeys(entry["model"] for entry in entries):
        paths.append(folder / f"{family}.md")
        own = [entry for entry in entries if entry["model"] == family]
        utils.write_text(paths[-1], card(family, own))
    return paths


def card(name: str, entries: Sequence[dict]) -> str:
    """Returns the model card of a family as Markdown.

    Args:
        name: Registry name of the family.
        entries: The entries of its released networks, in order.
    """
    family = FAMILIES[name]
    datasets = dict.fromkeys(entry["dataset"] for entry in entries)
    return (
        "\n\n".join(
            [
                f"# {family.title}: {', '.join(datasets)}",
                "Written from index.json by `keras-roots-release`; not to be edited.",
                f"{family.description} {family.paper}.",
                _usage(family, entries),
                "## Intended use",
                _INTENDED_USE,
                "## Data",
                "\n\n".join(dict.fromkeys(map(_about, entries))),
                "## Evaluation",
                f"On all {entries[0]['images']:,} test images. {_EVALUATION}",
                markdown_table(_COLUMNS, map(_figures, entries)),
                "## Training",
                _training(entries),
                "## Limitations",
                _limitations(entries),
            ]
        )
        + "\n"
    )


def _about(entry) -> str:
    return DATASETS[entry["weights"].partition("-")[0]]


def _usage(family, entries) -> str:
    first = entries[0]
    arguments = f"root={first['root']}, "
    if first["topology"] != "root":
        arguments += f'topology="{first["topology"]}", '
    build = f'keras_roots.{family.constructor}({arguments}weights="{first["weights"]}")'
    lines = [f"model = {build}"]
    whole = [entry for entry in entries if models.is_whole_network(entry)]
    if whole:
        arguments = (
            f'"{NetworkName.of_entry(whole[0])}", weights="{whole[0]["weights"]}"'
        )
        lines += ["small = keras_roots.create_model(", f"    {arguments}", ")"]
    lines.append("scores = model.predict(images)  # pixels 0 to 255, (n, 32, 32, 3)")
    return "\n".join(["```python", *lines, "```"])


def _figures(entry) -> list[str]:
    top1, sizes = entry["top1"], entry["litert_bytes"]
    return [
        f"`{NetworkName.of_entry(entry)}`",
        f"`{entry['weights']}`",
        f"{entry['macs']:,}",
        f"{entry['params']:,}",
        *(f"{top1[kind]:.2%}" for kind in ("keras", "litert_float32", "litert_int8")),
        f"{sizes['litert_int8'] / 1000:,.0f} kB",
    ]


def _training(entries) -> str:
    lines = []
    for entry in entries:
        validation = entry["validation_top1"]
        held_out = "" if validation is None else f", {validation:.2%} on validation"
        lines.append(
            f"* `{NetworkName.of_entry(entry)}`, `{entry['weights']}`: "
            f"{_variant(entry)}. {entry['training_seconds']:,.0f} s on "
            f"{entry['hardware']}, {entry['date']}, {entry['versions']}; one run"
            f"{held_out}.\n\n  ```sh\n  {entry['command']}\n  ```"
        )
    return "\n\n".join(lines)


def _variant(entry) -> str:
    variant = entry["weights"].removeprefix(entry["dataset"]).removeprefix("-")
    return _VARIANTS.get(variant, variant)


def _limitations(entries) -> str:
    loss = max(
        entry["top1"]["keras"] - entry["top1"]["litert_int8"] for entry in entries
    )
    return (
        "Each network was trained once, by a schedule shorter than the paper's: "
        "figures that differ by less than half a percent may be chance, and longer "
        "training reaches more. Only accuracy on the test images was measured, which "
        "look like the training images: nothing is known of other cameras, crops, "
        "corruptions, or of how errors fall on parts of a class, and the scores are "
        "not calibrated probabilities. "
        f"Quantisation to int8 costs up to {100 * loss:.2f} points of accuracy."
    )
