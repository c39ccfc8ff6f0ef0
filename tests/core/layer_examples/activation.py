"""Examples of the layer kind ``activation``."""

from playground.core.layers import Activation
from playground.core.layers.shared.activation_functions import ACTIVATION_TITLES
from tests.core.layer_examples import LayerExample

EXAMPLES = tuple(LayerExample(Activation.model_validate({"activation": name})) for name in ACTIVATION_TITLES)
