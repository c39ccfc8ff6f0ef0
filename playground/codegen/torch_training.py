"""The part of a training program that learns: a recipe's optimizer, schedule and loop over batches in plain PyTorch."""

from typing import Any

from playground.codegen.text import join_sections
from playground.codegen.torch_augmentation import generate_augmentation_code
from playground.codegen.torch_model import has_single_logit, list_weight_module_names
from playground.core.architecture import Architecture
from playground.core.layers.calls import omit_defaults
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.recipe import Recipe
from playground.core.schedules import Constant, Cosine, OneCycle, StepDecay

_SCALE_CODE = '''
def scaled(images: torch.Tensor) -> torch.Tensor:
    """Bytes as the values 0 to 1 that the network takes."""
    return images.to(torch.float32, memory_format=torch.channels_last) / 255
'''
_SAVE_CODE = '''
def save(model: nn.Module) -> None:
    """Write the weights into the present folder."""
    weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    try:
        from safetensors.torch import save_file
    except ImportError:
        torch.save(weights, "weights.pt")
    else:
        save_file(weights, "weights.safetensors")
'''
_FREEZE_CODE = """    model.load_state_dict(load_file(weights))
    frozen = [model.get_submodule(place).requires_grad_(False) for place in FROZEN]
"""
_FREEZE_BATCH_NORM_CODE = """        for module in frozen:
            module.eval()  # batch norm keeps its mean and variance
"""


def generate_training_code(architecture: Architecture, recipe: Recipe) -> str:
    """``train`` and what it needs beside ``make_model`` and ``load_images``, and the program that calls it."""
    return join_sections(
        _SCALE_CODE,
        generate_augmentation_code(recipe.augmentation),
        _generate_accuracy(architecture),
        _generate_make_optimizer(recipe),
        _generate_make_scheduler(recipe),
        _SAVE_CODE,
        _generate_train(architecture, recipe),
        _generate_main(architecture),
    )


def format_logits(architecture: Architecture, images_code: str) -> str:
    """Scores of every class: a sigmoid's single score z stands for the two scores (0, z)."""
    return (
        f"functional.pad(model({images_code}), (1, 0))" if has_single_logit(architecture) else f"model({images_code})"
    )


def _generate_accuracy(architecture: Architecture) -> str:
    return f'''def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of right answers."""
    model.eval()
    with torch.inference_mode():
        answers = torch.cat([{format_logits(architecture, "scaled(batch)")}.argmax(1) for batch in images.split(1000)])
    return (answers == labels).double().mean().item()'''


def _generate_make_optimizer(recipe: Recipe) -> str:
    return f'''def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """What turns gradients into steps."""
    return {_generate_optimizer_call(recipe)}'''


def _generate_optimizer_call(recipe: Recipe) -> str:
    decay = omit_defaults({"weight_decay": 0.0}, weight_decay=recipe.weight_decay)
    match recipe.optimizer:
        case Sgd(momentum=momentum, nesterov=nesterov):
            defaults = {"momentum": 0.0, "nesterov": False}
            named = omit_defaults(defaults, momentum=momentum, nesterov=nesterov and momentum > 0)
            return _format_optimizer_call("SGD", recipe.lr, **named, **decay)
        case Adam(beta1=beta1, beta2=beta2) as adam:
            betas = omit_defaults({"betas": (0.9, 0.999)}, betas=(beta1, beta2))
            if isinstance(adam, AdamW):  # whose default is not 0
                return _format_optimizer_call("AdamW", recipe.lr, **betas, weight_decay=recipe.weight_decay)
            return _format_optimizer_call("Adam", recipe.lr, **betas, **decay)
        case RmsProp(alpha=alpha, momentum=momentum):
            named = omit_defaults({"alpha": 0.99, "momentum": 0.0}, alpha=alpha, momentum=momentum)
            return _format_optimizer_call("RMSprop", recipe.lr, **named, **decay)
        case _:  # Adagrad
            return _format_optimizer_call("Adagrad", recipe.lr, **decay)


def _format_optimizer_call(name: str, lr: float, **keywords: Any) -> str:
    arguments = "".join(f", {key}={value!r}" for key, value in keywords.items())
    return f"torch.optim.{name}(model.parameters(), lr={lr!r}{arguments})"


def _generate_make_scheduler(recipe: Recipe) -> str:
    steps = f"{recipe.epochs} * steps_per_epoch" if recipe.epochs > 1 else "steps_per_epoch"
    match recipe.schedule:
        case Constant():
            return ""
        case StepDecay(step_size=epochs, gamma=gamma):
            call = f"StepLR(optimizer, step_size={epochs} * steps_per_epoch, gamma={gamma!r})"
        case Cosine():
            call = f"CosineAnnealingLR(optimizer, T_max={steps})"
        case OneCycle(pct_start=pct_start, div_factor=div_factor):
            named = omit_defaults({"pct_start": 0.3, "div_factor": 25.0}, pct_start=pct_start, div_factor=div_factor)
            shape = "".join(f", {key}={value!r}" for key, value in named.items())
            call = f"OneCycleLR(optimizer, {recipe.lr!r}, total_steps={steps}{shape}, cycle_momentum=False)"
    return f'''def make_schedule(optimizer: torch.optim.Optimizer, steps_per_epoch: int) -> lr_scheduler.LRScheduler:
    """What sets the learning rate anew after every batch."""
    return lr_scheduler.{call}'''


def _generate_train(architecture: Architecture, recipe: Recipe) -> str:
    auto = 'torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")'
    device = auto if recipe.device == "auto" else f'torch.device("{recipe.device}")'
    kept_out, size = recipe.validation_size, recipe.batch_size
    last = kept_out + recipe.limit if recipe.limit else ""
    batch = "augment(scaled(images[chosen]))" if recipe.augmentation else "scaled(images[chosen])"
    smoothing = f", label_smoothing={recipe.label_smoothing!r}" if recipe.label_smoothing else ""
    has_schedule = not isinstance(recipe.schedule, Constant)
    loss = f"loss = functional.cross_entropy({format_logits(architecture, 'batch')}, labels[chosen]{smoothing})"
    if recipe.precision == "bfloat16":
        loss = f"with torch.autocast(device.type, torch.bfloat16):\n                {loss}"
    schedule = "    schedule = make_schedule(optimizer, steps_per_epoch)\n"
    frozen = list_weight_module_names(architecture, only_frozen=True)
    return f'''def train(folder: str{", weights: str" if frozen else ""}) -> None:
    """Train on the images in ``folder``, tell how it goes, write the weights."""
    torch.manual_seed({recipe.seed})
    device = {device}
    images, labels = (part.to(device) for part in load_images(folder, train=True))
    order = torch.randperm(len(labels), device=device)
    validation, training = order[:{kept_out}], order[{kept_out}:{last}]
    model = make_model().to(device, memory_format=torch.channels_last)
{_FREEZE_CODE if frozen else ""}\
    optimizer = make_optimizer(model)
    # A last batch of one image is left out: batch norm needs two.
    steps_per_epoch = len(training) // {size} + (len(training) % {size} > 1)
{schedule if has_schedule else ""}    for epoch in range({recipe.epochs}):
        model.train()
{_FREEZE_BATCH_NORM_CODE if frozen else ""}\
        losses = []
        order = training[torch.randperm(len(training), device=device)]
        for chosen in order[: steps_per_epoch * {size}].split({size}):
            batch = {batch}
            {loss}
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
{"            schedule.step()" + chr(10) if has_schedule else ""}            losses.append(loss.detach())
        measured = accuracy(model, images[validation], labels[validation])
        print(f"epoch {{epoch + 1}}: loss {{torch.stack(losses).mean():.4f}}, validation accuracy {{measured:.4f}}")
    save(model)
    images, labels = (part.to(device) for part in load_images(folder, train=False))
    print(f"test accuracy {{accuracy(model, images, labels):.4f}}")'''


def _generate_main(architecture: Architecture) -> str:
    knowledge = "the first file of the run's snapshots folder: what frozen layers know"
    weights = f'    parser.add_argument("weights", help="{knowledge}")\n'
    frozen = list_weight_module_names(architecture, only_frozen=True)
    return f"""if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
{weights if frozen else ""}\
    parser.add_argument("--data", default="data", metavar="FOLDER", help="where the images are")
    arguments = parser.parse_args()
    train(arguments.data{", arguments.weights" if frozen else ""})"""
