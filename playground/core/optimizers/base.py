"""Base class of optimizers: hyperparameters, and the names of their classes in PyTorch and Keras."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Optimizer(BaseModel):
    """Hyperparameters of an optimizer, and their names in PyTorch and Keras.

    The learning rate and the weight decay belong to the recipe. Every subclass with a field ``kind`` is registered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    title: ClassVar[str]
    torch_class: ClassVar[str]
    """Full name of the class in PyTorch, or in the engine if PyTorch does not have it."""
    torch_inputs: ClassVar[str] = "model.parameters()"
    """Code of the positional arguments in an exported program, where ``model`` is the network."""
    torch_defaults: ClassVar[dict[str, Any]] = {"weight_decay": 0.0}
    """Arguments that an exported program leaves out at these values."""
    torch_source: ClassVar[str | None] = None
    """Source file of ``torch_class`` in the package, copied into exported programs; None: PyTorch has the class."""
    fused_devices: ClassVar[tuple[str, ...]] = ()
    """Types of device for which PyTorch has the update as one fused kernel."""
    lazy_state: ClassVar[tuple[str, ...]] = ()
    """State that PyTorch creates only when a hyperparameter first needs it; it is equal to zeros until then."""
    update_rule: ClassVar[str | None] = None
    """Full name of the engine's ``UpdateRule`` for steps in CUDA graphs.

    None: the optimizer's own step is captured; its whole state must exist before the first step.
    """
    is_matrix_wise: ClassVar[bool] = False
    """The update depends on the shapes of the weights, so it cannot run on the flat buffer."""
    keras_inputs: ClassVar[str] = "lr"
    """Code of the first arguments in an exported Keras program, where ``lr`` is the learning rate or schedule."""
    keras_class: ClassVar[str]
    """Full name of the class in Keras, or of one that ``keras_class_code`` defines."""
    keras_class_code: ClassVar[str | None] = None
    """Jinja2 template of a class or function that an exported Keras program needs and Keras does not have."""
    typical_lr: ClassVar[float] = 1e-3
    """A learning rate that works for most networks."""
    has_decoupled_weight_decay: ClassVar[bool] = False
    """Weight decay scales the weights; otherwise it is added to the gradient."""
    fixed_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that cannot change while a run is training; the others are live hyperparameters."""

    def build_torch_arguments(self) -> dict[str, Any]:
        """Keyword arguments of ``torch_class`` beside ``lr`` and ``weight_decay``."""
        return {}

    def build_keras_arguments(self, weight_decay: float) -> dict[str, Any]:
        """Keyword arguments of ``keras_class`` beside the learning rate.

        PyTorch's epsilon is given where Keras has another default, squared where Keras adds it under the root.
        """
        return {}

    @classmethod
    def list_live_fields(cls) -> tuple[str, ...]:
        """Names of the fields that may change while a run is training."""
        return tuple(name for name in cls.model_fields if name != "kind" and name not in cls.fixed_fields)
