"""Network file of a model, which the browser engine runs."""

from playground.interpret.model import Model
from playground.web.network_file import WeightType, encode_network


def encode_model(model: Model, *, weight_type: WeightType = "float32") -> bytes:
    """Encode a model as a network file, with the weights in float32 or float16.

    Raises StorageError for weights that are not finite.
    """
    tensors = model.module.state_dict().items()
    weights = {name: tensor.numpy() for name, tensor in tensors if tensor.is_floating_point()}
    labels = {"run_id": model.run_id, "step": str(model.step)}
    return encode_network(model.architecture, weights, weight_type=weight_type, labels=labels)
