"""NAdam."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from playground.core.optimizers.adam import AdamFamily


class NAdam(AdamFamily):
    """Adam with Nesterov momentum. Source: Dozat, "Incorporating Nesterov Momentum into Adam", 2016."""

    kind: Literal["nadam"] = "nadam"
    momentum_decay: float = Field(
        default=0.004,
        ge=0,
        le=1,
        description="Speed at which the momentum rises from half of beta1 to beta1.",
        json_schema_extra={"step": 0.001, "format": "%g"},
    )

    title: ClassVar[str] = "NAdam"
    torch_class: ClassVar[str] = "torch.optim.NAdam"
    torch_defaults: ClassVar[dict[str, Any]] = {"betas": (0.9, 0.999), "momentum_decay": 0.004, "weight_decay": 0.0}
    update_rule: ClassVar[str | None] = "playground.engine.training.optimizers.nadam.NADAM"
    keras_class: ClassVar[str] = "NAdam"
    keras_class_code: ClassVar[str | None] = '''
@keras.saving.register_keras_serializable()
class NAdam(keras.optimizers.Optimizer):
    """NAdam as PyTorch computes it: keras.optimizers.Nadam has no momentum decay (it is always 1) \
and another epsilon."""

    def __init__(
        self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, momentum_decay=0.004, epsilon=1e-8, **options
    ):
        super().__init__(learning_rate=learning_rate, **options)
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.momentum_decay, self.epsilon = momentum_decay, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.means = [self.add_variable_from_reference(variable, "mean") for variable in variables]
        self.squares = [self.add_variable_from_reference(variable, "square") for variable in variables]
        self.momentum_products = [
            self.add_variable((), initializer="ones", name=f"momentum_product_{index}") \
for index in range(len(variables))
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        mean, square, product = self.means[index], self.squares[index], self.momentum_products[index]
        learning_rate = keras.ops.cast(learning_rate, variable.dtype)
        step = keras.ops.cast(self.iterations + 1, variable.dtype)
        momentum = self.beta_1 * (1 - 0.5 * keras.ops.power(0.96, step * self.momentum_decay))
        next_momentum = self.beta_1 * (1 - 0.5 * keras.ops.power(0.96, (step + 1) * self.momentum_decay))
        self.assign(product, product * momentum)
        self.assign(mean, mean + (1 - self.beta_1) * (gradient - mean))
        self.assign(square, square + (1 - self.beta_2) * (keras.ops.square(gradient) - square))
        root = keras.ops.sqrt(square / (1 - keras.ops.power(self.beta_2, step))) + self.epsilon
        update = (1 - momentum) / (1 - product) * gradient + next_momentum / (1 - product * next_momentum) * mean
        self.assign_sub(variable, learning_rate * update / root)

    def get_config(self):
        names = ("beta_1", "beta_2", "momentum_decay", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
'''

    def build_torch_arguments(self) -> dict[str, Any]:
        """The arguments of Adam and the momentum decay."""
        return {**super().build_torch_arguments(), "momentum_decay": self.momentum_decay}

    def build_keras_arguments(self, weight_decay: float) -> dict[str, Any]:
        """The arguments of Adam and the momentum decay."""
        return {**super().build_keras_arguments(weight_decay), "momentum_decay": self.momentum_decay}
