"""Update of Adagrad; torch has no kernel for it that reads the learning rate from the device."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from playground.engine.training.optimizers.update_rule import Group, State, UpdateRule, get_decayed_gradient


def _make_adagrad_update(group: Group, parameter: Tensor, state: State, lr: Tensor) -> Callable[[], None]:
    return partial(_update_adagrad, group, parameter, state, lr)


def _update_adagrad(group: Group, parameter: Tensor, state: State, lr: Tensor) -> None:
    gradient = get_decayed_gradient(group, parameter)
    state["sum"].addcmul_(gradient, gradient)
    parameter.sub_(gradient.div(state["sum"].sqrt().add_(group["eps"])).mul_(lr))


ADAGRAD = UpdateRule(_make_adagrad_update, lambda _group: ("sum",), counts_on_host=True)
