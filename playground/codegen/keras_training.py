"""The part of a Keras file that trains: a recipe's data, optimizer, learning rates and loss, as PyTorch means them."""

from playground.codegen.keras_layers import list_keras_places
from playground.codegen.text import format_call, format_tuple, join_sections, sanitize_text
from playground.codegen.torch_model import has_single_logit
from playground.core.architecture import Architecture
from playground.core.datasets import DATASETS
from playground.core.layers.calls import omit_defaults
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.recipe import Recipe
from playground.core.schedules import Constant, Cosine, OneCycle, StepDecay
from playground.core.shapes import Shape

_KERAS_DATASETS = {
    "mnist": "mnist",
    "mnist+pen": "mnist",
    "fashion-mnist": "fashion_mnist",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
}
_FINAL_DIVISOR = 1e4
_PEN_DIGITS_COMMENT = "    # The run also trained on drawings that come with CNN Playground only.\n"
_BINARY_ACCURACY_CODE = 'keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")'
_FREEZE_CODE = """    # Frozen layers keep the weights that they are given.
    with_weights = [layer for layer in model.layers if layer.weights]
    for layer, place in zip(with_weights, PLACES, strict=True):
        layer.trainable = place not in FROZEN
"""
_LOAD_WEIGHTS_CODE = """    # The first file of the run's snapshots folder: what its frozen layers know.
    load_weights(model, sys.argv[1])
"""
_WEIGHT_DECAY_CODE = """    # PyTorch adds the decay to the gradient, as this does; Keras's own weight_decay is that of AdamW.
    for variable in model.trainable_variables:
        variable.regularizer = keras.regularizers.L2({weight_decay!r} / 2)
"""


def generate_training_code(architecture: Architecture, recipe: Recipe) -> str:
    """``load_data``, ``compile_model``, and the program that trains with them and the functions of the model."""
    frozen = list_keras_places(architecture, only_frozen=True)
    return join_sections(
        f"# The places of the layers that do not learn.\nFROZEN = {format_tuple(frozen)}" if frozen else "",
        _generate_one_cycle(recipe),
        _generate_load_data(architecture, recipe),
        _generate_compile_model(architecture, recipe),
        _generate_main(architecture, recipe),
    )


def _generate_load_data(architecture: Architecture, recipe: Recipe) -> str:
    name = _KERAS_DATASETS.get(recipe.dataset)
    if name is None:
        return _generate_load_image_folder(architecture, recipe)
    load_data = f'''def load_data():
    """(images, labels) to train on and (images, labels) to test on."""
    (train_images, train_labels), (test_images, test_labels) = keras.datasets.{name}.load_data()
{_PEN_DIGITS_COMMENT if recipe.dataset == "mnist+pen" else ""}\
    return (scaled(train_images), train_labels), (scaled(test_images), test_labels)'''
    return join_sections(load_data, _generate_scale(DATASETS[recipe.dataset].input_shape, architecture.input.shape))


def _generate_load_image_folder(architecture: Architecture, recipe: Recipe) -> str:
    """For images that Keras does not have: pictures, in a folder for every class."""
    channels, height, width = architecture.input.shape
    colours = "rgb" if channels == 3 else "grayscale"
    values = "images" if channels in (1, 3) else f"images.repeat({channels}, axis=-1)"
    return f'''def load_data():
    """(images, labels) to train on and (images, labels) to test on, as pictures in data/train and data/test.

    Each has a folder for every class of {sanitize_text(recipe.dataset)}: {architecture.classes} of them, in alphabetical order.
    """
    return load_folder("data/train"), load_folder("data/test")


def load_folder(folder):
    """Pictures as the network takes them, float32 (count, {height}, {width}, {channels}), values 0 to 1, shuffled."""
    classes = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
    files = [(path, label) for label, name in enumerate(classes) for path in sorted(name.iterdir())]
    random.Random(0).shuffle(files)
    options = {{"color_mode": "{colours}", "target_size": ({height}, {width}), "keep_aspect_ratio": True}}
    pictures = (keras.utils.load_img(path, **options) for path, _ in files)
    images = numpy.stack([keras.utils.img_to_array(picture) for picture in pictures])
    return {values} / 255, numpy.array([label for _, label in files])
'''


def _generate_scale(source_shape: Shape, target_shape: Shape) -> str:
    """From the images of the data to those that the network takes."""
    lines = []
    if source_shape[0] == 1:  # Keras leaves the axis of a single channel out
        lines.append("images = images[..., None]")
    if source_shape[0] == 3 and target_shape[0] != 3:
        lines.append("images = keras.ops.image.rgb_to_grayscale(images)")
    if source_shape[1:] != target_shape[1:]:
        lines.append(f"images = keras.ops.image.resize(images, {target_shape[1:]}, antialias=True)")
    if target_shape[0] not in (1, source_shape[0]):
        lines.append(f"images = keras.ops.repeat(images[..., :1], {target_shape[0]}, axis=-1)")
    changes = "".join(f"    {line}\n" for line in lines)
    return f'''def scaled(images):
    """Bytes as the network takes them: float32 (count, height, width, channels), values 0 to 1."""
    images = images.astype("float32") / 255
{changes}    return {"keras.ops.convert_to_numpy(images)" if "keras.ops" in changes else "images"}'''


def _generate_compile_model(architecture: Architecture, recipe: Recipe) -> str:
    coupled = recipe.weight_decay and not isinstance(recipe.optimizer, AdamW)
    steps = "" if isinstance(recipe.schedule, Constant) else ", steps_per_epoch"
    return f'''def compile_model(model{steps}):
    """Give the model the run's way of learning; it must put out scores (``logits=True``)."""
    lr = {_generate_learning_rate(recipe)}
{_FREEZE_CODE if list_keras_places(architecture, only_frozen=True) else ""}\
{_WEIGHT_DECAY_CODE.format(weight_decay=recipe.weight_decay) if coupled else ""}    model.compile(
        optimizer={_generate_optimizer(recipe)},
        loss={_generate_loss(architecture, recipe)},
        metrics=[{_BINARY_ACCURACY_CODE if has_single_logit(architecture) else '"accuracy"'}],
    )
'''


def _generate_learning_rate(recipe: Recipe) -> str:
    steps = f"{recipe.epochs} * steps_per_epoch" if recipe.epochs > 1 else "steps_per_epoch"
    match recipe.schedule:
        case Constant():
            return repr(recipe.lr)
        case StepDecay(step_size=epochs, gamma=gamma):
            schedule = "keras.optimizers.schedules.ExponentialDecay"
            return f"{schedule}({recipe.lr!r}, {epochs} * steps_per_epoch, decay_rate={gamma!r}, staircase=True)"
        case Cosine():
            return f"keras.optimizers.schedules.CosineDecay({recipe.lr!r}, {steps})"
        case _:  # OneCycle
            return f"OneCycle({steps})"


def _generate_one_cycle(recipe: Recipe) -> str:
    lr, schedule = recipe.lr, recipe.schedule
    if not isinstance(schedule, OneCycle):
        return ""
    first = lr / schedule.div_factor
    return f'''
@keras.saving.register_keras_serializable()
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate climbs to its peak and falls to almost nothing, both along half a cosine."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        peak = max(1.0, {schedule.pct_start!r} * self.steps - 1)
        climb = between({first!r}, {lr!r}, step / peak)
        fall = between({lr!r}, {first / _FINAL_DIVISOR!r}, (step - peak) / max(1.0, self.steps - 1 - peak))
        return keras.ops.where(step <= peak, climb, fall)

    def get_config(self):
        return {{"steps": self.steps}}


def between(start, end, progress):
    """From start to end along half a cosine, for a progress from 0 to 1."""
    return end + (start - end) * (1 + keras.ops.cos(math.pi * keras.ops.clip(progress, 0, 1))) / 2

'''


def _generate_optimizer(recipe: Recipe) -> str:
    """The optimizer's call; PyTorch's epsilons, which where Keras adds them under the root are squared."""
    match recipe.optimizer:
        case Sgd(momentum=momentum, nesterov=nesterov):
            defaults = {"momentum": 0.0, "nesterov": False}
            named = omit_defaults(defaults, momentum=momentum, nesterov=nesterov and momentum > 0)
            return _format_optimizer_call("SGD", **named)
        case Adam(beta1=beta_1, beta2=beta_2) as adam:
            betas = omit_defaults({"beta_1": 0.9, "beta_2": 0.999}, beta_1=beta_1, beta_2=beta_2)
            decoupled = {"weight_decay": recipe.weight_decay} if isinstance(adam, AdamW) else {}
            return _format_optimizer_call("AdamW" if decoupled else "Adam", **betas, epsilon=1e-8, **decoupled)
        case RmsProp(alpha=rho, momentum=momentum):
            return _format_optimizer_call(
                "RMSprop", rho=rho, **omit_defaults({"momentum": 0.0}, momentum=momentum), epsilon=1e-16
            )
        case _:  # Adagrad
            return _format_optimizer_call("Adagrad", initial_accumulator_value=0.0, epsilon=1e-20)


def _format_optimizer_call(name: str, **keywords: float | bool) -> str:
    arguments = "".join(f", {key}={value!r}" for key, value in keywords.items())
    return f"keras.optimizers.{name}(lr{arguments})"


def _generate_loss(architecture: Architecture, recipe: Recipe) -> str:
    smoothing = {"label_smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}
    kind = "Binary" if has_single_logit(architecture) else "Categorical" if smoothing else "SparseCategorical"
    return format_call(f"keras.losses.{kind}Crossentropy", from_logits=True, **smoothing)


def _generate_main(architecture: Architecture, recipe: Recipe) -> str:
    kept_out, size = recipe.validation_size, recipe.batch_size
    trained_on = f"{kept_out}:{kept_out + recipe.limit if recipe.limit else ''}"
    one_hot = f"""    # Keras smooths labels that have one number a class.
    labels, test_labels = (keras.utils.to_categorical(part, {architecture.classes}) for part in (labels, test_labels))
"""
    changes = ", ".join(item.kind for item in recipe.augmentation)
    augmentation = f"    # The run changed its images at random ({changes}); here they are learnt as they are.\n"
    steps = "" if isinstance(recipe.schedule, Constant) else f", math.ceil(len(labels) / {size})"
    return f"""if __name__ == "__main__":
    keras.utils.set_random_seed({recipe.seed})
    (images, labels), (test_images, test_labels) = load_data()
{one_hot if "losses.Categorical" in _generate_loss(architecture, recipe) else ""}\
    validation = images[:{kept_out}], labels[:{kept_out}]
    images, labels = images[{trained_on}], labels[{trained_on}]
    model = make_model(logits=True)
{_LOAD_WEIGHTS_CODE if list_keras_places(architecture, only_frozen=True) else ""}\
    compile_model(model{steps})
{augmentation if recipe.augmentation else ""}\
    model.fit(images, labels, batch_size={size}, epochs={recipe.epochs}, validation_data=validation)
    _, accuracy = model.evaluate(test_images, test_labels, verbose=0)
    print(f"test accuracy {{accuracy:.4f}}")
"""
