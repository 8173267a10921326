r"""Makes a trained network cheaper: coordinates its filters, decomposes it, fine-tunes.

Force Regularization (Wen et al., ICCV 2017) from baseline to exported file:

  baseline    trains a network, or takes one by --from or --weights
  force       goes on training with forces between the filters: their rank falls
  ranks       prints the ranks before and after; writes ranks.csv, spectra.png
  decompose   replaces convolutions by two cheaper ones where that pays
  finetune    trains the decomposed network
  sparsify    with --sparsify_epochs: removes dead filters, prunes weights, trains
  export      LiteRT files, float32 and int8, and one table of accuracy, multiply-adds,
              parameters, bytes and measured latency at every stage: table.csv

Examples, on the embedded digits (a few minutes on two cores):

  keras-roots-compress --model=root_resnet20 --epochs=6 --force_strength=1e-3 \
      --macs=0.5 --method=responses --output_dir=runs/digits-compressed

the 1x1s of a network with filter groups, which those leave whole:

  keras-roots-compress --model=root_nin --root=8 --weights=cifar10 --dataset=cifar10 \
      --force_layers=pointwise --layers=pointwise --macs=0.7 --method=responses \
      --output_dir=runs/cifar10-pointwise

and from a trained network, on CIFAR-10:

  keras-roots-compress --from=runs/cifar10/model.keras --model=root_resnet20 \
      --dataset=cifar10 --force_strength=3e-5 --output_dir=runs/cifar10-compressed

where --model tells the recipe, and the layers of --force_layers=paper.

With --latency the network gets filter groups or lower ranks, layer by layer, and an
int8 file where that pays, until the file takes that part of the time of the float32
file that it was, measured on this machine; --output_dir then holds model.tflite and
budget.csv, and forces are left out unless --force_epochs is given:

  keras-roots-compress --model=root_nin --weights=cifar10 --dataset=cifar10 \
      --latency=0.25 --finetune_epochs=5 --output_dir=runs/cifar10-quarter

A network of keras.applications gets a head for the data set's classes, which is trained
first:

  keras-roots-compress --from=keras.applications.ResNet50 --epochs=10 \
      --dataset=imagenette/160px-v2 --latency=0.25 --output_dir=runs/photographs-quarter

The same command goes on where it was stopped; --stage=force,decompose runs some stages
alone, on what the others left. The right strength depends on the network: choose it on
images held out of the training split (--holdout), by their accuracy in result.json.
"""

from keras_roots.training import stages
from keras_roots.training.commands import (
    compression_flags,
    compression_request,
    start_flags,
)
from keras_roots.training.commands import flags as shared
from keras_roots.training.commands.compression_flags import STAGES


def main(argv) -> None:
    """Runs the stages that the flags name."""
    del argv
    values = shared.FLAGS
    if not values.output_dir:
        raise ValueError("--output_dir is required: a folder for what the stages write")
    unknown = sorted(set(values.stage) - set(STAGES))
    if unknown:
        raise ValueError(
            f"--stage must be of {', '.join(STAGES)}, separated by commas. "
            f"Received: {', '.join(unknown)}"
        )
    work = stages.Compression(
        compression_request.settings(),
        values.output_dir,
        start_flags.start().start,
        data_dir=values.data_dir,
        distribution=values.distribution,
    )
    for stage in (name for name in STAGES if name in values.stage):
        if stage == "ranks":
            for name, analysis in stages.ranks(work).items():
                print(f"\nranks, {name}\n{analysis}\n")
        elif stage == "export":
            print(f"\n{_export(work)}")
        else:
            work.run([stage])


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, compression_flags.define())


def _export(work) -> str:
    if work.settings.budget is not None:
        return str(stages.deliver(work))
    return stages.render(stages.export(work))
