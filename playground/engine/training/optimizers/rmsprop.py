"""Update of RMSprop; torch has no kernel for it that reads the learning rate from the device."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from playground.engine.training.optimizers.update_rule import Group, State, UpdateRule, get_decayed_gradient


def _make_rmsprop_update(group: Group, parameter: Tensor, state: State, lr: Tensor) -> Callable[[], None]:
    return partial(_update_rmsprop, group, parameter, state, lr)


def _update_rmsprop(group: Group, parameter: Tensor, state: State, lr: Tensor) -> None:
    gradient = get_decayed_gradient(group, parameter)
    square_avg = state["square_avg"]
    square_avg.mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
    average = square_avg.sqrt().add_(group["eps"])
    if group["momentum"]:
        buffer = state["momentum_buffer"]
        buffer.mul_(group["momentum"]).addcdiv_(gradient, average)
        parameter.sub_(buffer * lr)
    else:
        parameter.sub_(gradient.div(average).mul_(lr))


RMSPROP = UpdateRule(
    _make_rmsprop_update,
    lambda group: ("square_avg", "momentum_buffer") if group["momentum"] else ("square_avg",),
    counts_on_host=True,
)
