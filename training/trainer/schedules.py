"""Learning-rate schedules: straight lines between points."""

import keras

from keras_roots.training.trainer.recipes import Recipe


@keras.saving.register_keras_serializable(package="keras_roots")
class PiecewiseLinear(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that goes in straight lines from point to point.

    Args:
        steps: Steps of the points, ascending; two equal ones make a jump, after which
            the second holds.
        rates: Learning rates at the points. Before the first and after the last point
            the rate stays.

    Raises:
        ValueError: The lists differ in length or `steps` descends.
    """

    def __init__(self, steps, rates):
        if len(steps) != len(rates) or not steps or sorted(steps) != list(steps):
            raise ValueError(
                "`steps` must ascend and have a rate each. "
                f"Received: steps={steps}, rates={rates}"
            )
        self.steps = list(steps)
        self.rates = list(rates)

    def __call__(self, step):
        """Returns the learning rate at a step."""
        step = keras.ops.cast(step, "float32")
        rate = keras.ops.full((), self.rates[0], "float32")
        points = list(zip(self.steps, self.rates, strict=True))
        for (start, low), (end, high) in zip(points, points[1:], strict=False):
            part = (step - start) / max(end - start, 1)
            line = low + (high - low) * keras.ops.clip(part, 0.0, 1.0)
            rate = keras.ops.where(step >= start, line, rate)
        return keras.ops.where(step >= self.steps[-1], self.rates[-1], rate)

    def get_config(self):
        """Returns the points."""
        return {"steps": self.steps, "rates": self.rates}


def make_schedule(recipe: Recipe, steps: int) -> PiecewiseLinear:
    """Returns the schedule of a recipe over a whole run.

    Args:
        recipe: The recipe: its schedule, learning rate, warm-up and milestones.
        steps: Steps of the run.
    """
    peak = recipe.learning_rate
    points = [(0, peak / 10), (recipe.warmup * steps, peak)]
    if recipe.warmup == 0:
        points = [(0, peak)]
    if recipe.schedule == "one_cycle":
        points.append((steps, 0.0))
    else:
        rate = peak
        for milestone in recipe.milestones:
            points += [(milestone * steps, rate), (milestone * steps, rate / 10)]
            rate /= 10
    return PiecewiseLinear(*map(list, zip(*points, strict=True)))
