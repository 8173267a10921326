"""The machine of resumable stages: each changes a network, in a folder of its own.

Every stage takes the model of the one before it and leaves its own, what it reaches and
its log. A stage that is done is not run again; one that was stopped goes on.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

import keras_roots
from keras_roots import utils
from keras_roots.training import data, evaluation, runs, trainer
from keras_roots.training.runs import MODEL, RESULT
from keras_roots.training.stages.context import Context
from keras_roots.training.stages.outcome import Outcome


@dataclasses.dataclass(frozen=True)
class Stage:
    """A step that leaves a model. Its fields are what its result depends on.

    Attributes:
        name: Name of the stage, and of its folder; empty for the run's own folder.
    """

    name: str

    def check(self) -> None:
        """Refuses impossible settings before any stage runs.

        Raises:
            ValueError: A setting is impossible.
        """

    def run(
        self, model: keras.Model, folder: Path, context: Context
    ) -> tuple[keras.Model, dict]:
        """Changes a model.

        Args:
            model: That of the stage before, or the one that the run starts from.
            folder: Existing folder of the stage.
            context: Where it runs.

        Returns:
            The model, and further entries of the stage's `result.json`.

        Raises:
            ValueError: The model or the data set does not fit the stage.
            FloatingPointError: Training diverged.
        """
        raise NotImplementedError

    def with_epochs(self, epochs: int) -> "Stage | None":
        """Returns the stage with other epochs, `None` if they leave nothing to do."""
        del epochs
        return self


@dataclasses.dataclass(frozen=True)
class Keep(Stage):
    """Leaves the network as it is."""

    name: str = "whole"

    def run(self, model, folder, context):
        """As for every stage."""
        return model, {}


def run(
    stages: Sequence[Stage],
    context: Context,
    start: Callable[[], keras.Model],
    config: dict,
    only: Sequence[str] | None = None,
) -> Outcome:
    """Runs the stages that are not done, in their order.

    Args:
        stages: The stages.
        context: Where to run them.
        start: Function that returns the model to start from; called if the first stage
            is not done.
        config: What the start depends on, as JSON knows it.
        only: Names of the stages to run; `None` for all.

    Raises:
        ValueError: A setting is impossible, a folder holds something else, or a stage
            before one of `only` is not done.
        OSError: A folder cannot be written.
        FloatingPointError: Training diverged.
    """
    trainer.check_layout()
    names = tuple(stage.name for stage in stages)
    unknown = sorted(set(only or ()) - set(names))
    if unknown:
        raise ValueError(f"`only` must be of {list(names)}. Received: {unknown}")
    for stage in stages:
        stage.check()
        recipe = getattr(stage, "recipe", None)
        if recipe is not None:
            trainer.check_patience(recipe, context.dataset)
    outcome = Outcome(Path(context.folder), names)
    _check_folder(outcome)
    with runs.hold_directory(outcome.folder):
        for folder, _, _ in os.walk(outcome.folder):
            utils.remove_leftovers(folder)
        _run_all(stages, context, start, _described(config, context), only, outcome)
    return outcome


def _run_all(stages, context, start, config, only, outcome):
    """Runs the stages of a folder that is held."""
    names = outcome.names
    wanted = [name for name in names if only is None or name in only]
    last = names.index(wanted[-1]) if wanted else -1
    own = wanted[-1:] == [""] and len(names) > 1
    if own:
        # The run's own folder is claimed before stages make theirs in it.
        every = {_key(stage): describe(stage) for stage in stages}
        runs.claim_directory(outcome.folder, config | {"stages": every})
    before = None
    for stage in stages[: last + 1]:
        config = config | {"stages": config["stages"] | {_key(stage): describe(stage)}}
        folder = outcome.folder / stage.name
        if outcome.result(stage.name):
            runs.claim_directory(folder, config)
            if stage.name in wanted:
                reached = evaluation.headline(outcome.result(stage.name))
                context.say(f"{_title(stage)}done already, {reached}")
        elif stage.name in wanted:
            make = _before(start, before, outcome, stage)
            earlier = names[: names.index(stage.name)]
            results = {name: outcome.result(name) for name in earlier}
            extra = {n: held["top1"] for n, held in results.items() if "top1" in held}
            try:
                _run(stage, folder, context, config, make, extra)
            except ValueError:
                if own:
                    runs.release_directory(outcome.folder)
                raise
        before = stage.name


def describe(stage: Stage) -> dict:
    """Returns what a stage's result depends on, as JSON knows it."""
    own = dataclasses.asdict(stage)
    del own["name"]
    return {"kind": type(stage).__name__} | own


def done_elsewhere(name: str, config: dict, folder: str | os.PathLike) -> Path | None:
    """Returns where another row has done the same stage, from the start on.

    Args:
        name: Name of the stage.
        config: Its configuration, with those of the stages before.
        folder: Folder of the folders of tables, in which rows have theirs.
    """
    for result in sorted(Path(folder).glob(f"*/*/{name}/{RESULT}")):
        found = runs.read_config(result.parent)
        if found is not None and not runs.differences(found, config):
            return result.parent
    return None


def _described(config, context) -> dict:
    dataset = context.dataset
    held = 0 if dataset.evaluation is dataset.test else dataset.evaluation.count
    own = {"dataset": dataset.name, "holdout": held, "seed": context.seed}
    if context.deterministic:
        own["deterministic"] = True
    return {**config, **own, "stages": {}}


def _before(start, before, outcome, stage) -> Callable[[], keras.Model]:
    """The function that gives the model that a stage takes."""
    if before is None:
        return start
    if not outcome.result(before):
        raise ValueError(
            f"Stage {stage.name!r} needs the model of stage {before!r}, which is not "
            f"in {str(outcome.folder)!r}: run that one first"
        )
    return lambda: outcome.model(before)


def _run(stage, folder, context, config, make, earlier):
    if runs.contents(folder):
        runs.claim_directory(folder, config)
    shared = context.shared and done_elsewhere(stage.name, config, context.shared)
    if shared and stage.name:
        context.say(f"{_title(stage)}done already, for {shared.parent.name}")
        utils.copy(shared, folder)
        return
    # What cannot be built leaves no folder.
    trainer.set_seed(context.seed, context.deterministic)
    model = make()
    runs.claim_directory(folder, config)
    context.say(f"{_title(stage)}starts")
    try:
        with context.dataset.reading():
            model, extra = stage.run(model, folder, context)
    except ValueError:
        runs.release_directory(folder)
        raise
    if earlier:
        extra = extra | {"earlier_top1": earlier}
    result = finish(model, context.dataset, folder, **extra)
    context.say(f"{_title(stage)}done, {evaluation.headline(result)}")


def finish(
    model: keras.Model,
    dataset: data.Dataset | data.Unlabelled,
    folder: str | os.PathLike,
    **extra,
) -> dict:
    """Saves a model as `model.keras`, and what it reaches as `result.json`.

    Args:
        model: The model.
        dataset: What the model is measured on, as for `evaluation.score_model`.
        folder: Folder of the stage.
        **extra: Further entries of the result.

    Returns:
        What `result.json` holds: what `evaluation.score_model` returns; multiply-adds,
        parameters, `extra`; command, hardware, versions and date.
    """
    with utils.replacing(Path(folder, MODEL)) as name:
        utils.save_model(model, name)
    profile = keras_roots.profile(model)
    result = {
        "model": model.name,
        "dataset": dataset.name,
        **evaluation.score_model(model, dataset),
        "macs": profile.macs,
        "params": profile.params,
        **extra,
    }
    result |= runs.describe()
    utils.write_text(Path(folder, RESULT), json.dumps(result, indent=2) + "\n")
    return result


def _check_folder(outcome):
    """Refuses a folder with other things in it, before any stage runs."""
    folder, own = outcome.folder, set(filter(None, outcome.names))
    held = {path.name for path in runs.contents(folder)}
    if held and own and "" not in outcome.names and not held & own:
        raise ValueError(
            f"`output_dir` {str(folder)!r} is not empty and holds no run; choose "
            "another directory"
        )


def _key(stage) -> str:
    """Name of a stage in the configuration, also of one in the run's own folder."""
    return stage.name or type(stage).__name__.lower()


def _title(stage) -> str:
    return f"{stage.name}: " if stage.name else ""
