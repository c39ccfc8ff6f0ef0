"""Tables of what is known of libraries: usual names, and calls that leave a network as it is."""

import re


def split_names(names: str) -> frozenset[str]:
    """Return the set of the names in a text."""
    return frozenset(names.split())


USUAL_NAMES = dict(
    pair.split("=")
    for pair in """
    torch=torch nn=torch.nn F=torch.nn.functional optim=torch.optim keras=keras tf=tensorflow layers=keras.layers
    models=keras.models K=keras.backend math=math np=numpy functools=functools itertools=itertools copy=copy
    OrderedDict=collections.OrderedDict partial=functools.partial deepcopy=copy.deepcopy reduce=functools.reduce
    chain=itertools.chain tqdm=tqdm trange=tqdm.trange
    """.split()  # noqa: SIM905 - one pair a line would be longer
)
"""Names that pasted code uses without importing them."""

_TORCH_ROOTS = ("torch", "lightning", "pytorch_lightning")
_KERAS_ROOTS = ("keras", "tensorflow", "tf_keras")
_BUILTIN_MODULES = ("math", "functools", "itertools", "collections", "copy")

# Packages whose functions change neither the networks nor the lists that they get.
_READING_PACKAGES = split_names("""
    numpy matplotlib seaborn sklearn pandas time datetime os sys logging pathlib torchvision torchinfo torchsummary
    torchviz torchmetrics wandb tensorboard tensorboardX thop fvcore ptflops tqdm pprint json yaml pickle argparse
    warnings typing dataclasses visualkeras keras_tuner netron captum onnx IPython joblib torchview prettytable
    collections glob re csv cv2 PIL scipy shutil gc psutil contextlib abc enum types
""")
_CHANGING_FUNCTION = re.compile(r"shuffle|prune|quantiz|fuse|inject|replace|convert|wrap|patch|lora|peft")
# Functions that pasted code names and leaves out: they train, measure or show a network.
_READING_FUNCTION = re.compile(
    r"_*(train|fit|test|eval|valid|predict|infer|print|show|plot|draw|summar|count|num_|save|export|visual|trace|profile|"
    r"log|watch|display|accuracy|get_acc|get_num|get_param|run|check|compare|inspect|info|measure|bench|report|compute|"
    r"calc|init_weights|initialize_weights|set_seed|one_epoch|score|metric|load_weights|stat|macs|flops|add_graph|"
    r"backward|zero_grad|Learner|Trainer|SummaryWriter|NeuralNet)",
    re.IGNORECASE,
)

_MODEL_COLLECTION = re.compile(
    r"(?P<torchvision>torchvision\.models\.[a-z]\w*$)|(?P<keras>(tensorflow\.)?keras\.applications\.(\w+\.)*[A-Z]\w*$)|"
    r"(?P<timm>timm\.create_model$)|(?P<hub>torch\.hub\.load$)|(?P<transformers>transformers\.\w+\.from_pretrained$)"
)
_COLLECTION_TITLES = {"keras": "keras.applications", "hub": "PyTorch Hub"}

IDENTITY_FUNCTIONS = split_names("""
    DataParallel DistributedDataParallel script optimize_for_inference tqdm trange convert_to_tensor as_tensor identity
""")
"""Functions whose result is their first argument."""

IDENTITY_METHODS = split_names("""
    to cuda cpu eval train float double half bfloat16 type contiguous share_memory requires_grad_ xpu
""")
READING_METHODS = split_names("""
    state_dict load_state_dict zero_grad summary compile fit fit_generator train_on_batch evaluate evaluate_generator
    predict predict_on_batch predict_classes predict_proba predict_generator test_on_batch save save_weights
    load_weights get_weights set_weights count_params get_config to_json to_yaml extra_repr register_buffer
    register_parameter log log_dict save_hyperparameters print export save_pretrained named_buffers buffers
    reset_parameters reset_states get_parameter add_loss add_metric add_weight compute_loss compute_metrics
    configure_optimizers manual_backward toggle_optimizer plot backward
""")
"""Methods of networks that change at most weights."""

WALKING_METHODS = split_names("parameters children modules apply")
WEIGHTLESS_ATTRIBUTES = split_names("name _name built supports_masking class_names stop_training optimizer loss")
"""Attributes that code may set without a change of the layers."""

TRAINING_METHODS = split_names("fit fit_generator train_on_batch train compile parameters evaluate predict summary")
EXAMPLE_METHODS = split_names("view reshape to cuda cpu float requires_grad_")
"""Methods of a tensor of known shape whose result has a known shape."""
SIZE_ATTRIBUTES = split_names("shape ndim dtype device is_cuda requires_grad grad grad_fn layout is_leaf name")
SIZE_METHODS = split_names("size dim numel item numpy tolist nelement stride data_ptr get_shape new_zeros new_ones")
VIEW_OPERATIONS = split_names("""
    view reshape flatten Flatten squeeze unsqueeze permute transpose indexing Dropout Dropout2d dropout dropout2d
    Identity detach expand chunk split unflatten swapaxes movedim narrow select
""")
"""Operations whose result may share the memory of the tensor."""


def get_library(module: str) -> str:
    """Return ``torch``, ``keras``, ``builtins`` or the package of a module."""
    root = module.partition(".")[0]
    known = {"torch": _TORCH_ROOTS, "keras": _KERAS_ROOTS, "builtins": _BUILTIN_MODULES}
    return next((library for library, roots in known.items() if root in roots), root)


def find_model_collection(name: str) -> str:
    """Return the collection of ready-made networks that a function belongs to; empty for other functions."""
    match = _MODEL_COLLECTION.match(name)
    return _COLLECTION_TITLES.get(match.lastgroup or "", match.lastgroup or "") if match else ""


def is_reading_call(name: str, library: str) -> bool:
    """Return True for a function outside of the code that leaves the networks and lists that it gets as they are."""
    short_name = name.rpartition(".")[2]
    if _CHANGING_FUNCTION.search(name):
        return False
    return (
        library in ("torch", "keras", "builtins")
        or library in _READING_PACKAGES
        or name in ("len", "id", "repr")
        or bool(not library and _READING_FUNCTION.match(short_name))
    )
