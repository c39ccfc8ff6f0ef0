"""Device and precision of a training, as the hardware supports them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from playground.core.recipe import Recipe
from playground.errors import RecipeError

_BFLOAT16_CPU_FEATURES = frozenset(("avx512_bf16", "amx_bf16", "bf16"))  # the last one is ARM's


@dataclass(frozen=True)
class DeviceConfig:
    """A device and the precision of the forward pass; weights and updates are always float32."""

    device: torch.device
    is_bfloat16: bool

    @property
    def precision(self) -> str:
        """Name of the precision: bfloat16 or float32."""
        return "bfloat16" if self.is_bfloat16 else "float32"


def choose_device_config(recipe: Recipe) -> DeviceConfig:
    """Choose the device and precision of a recipe; raises RecipeError for a device that this machine lacks."""
    available = list_available_devices()
    if recipe.device != "auto" and recipe.device not in available:
        raise RecipeError(
            f"This machine has no device {recipe.device!r}.",
            expected=f"One of: {', '.join(available)}.",
            fix="Choose 'auto'.",
        )
    device = torch.device(available[0] if recipe.device == "auto" else recipe.device)
    bfloat16 = recipe.precision == "bfloat16" or (recipe.precision == "auto" and has_native_bfloat16(device.type))
    return DeviceConfig(device, bfloat16)


@lru_cache(maxsize=1)
def list_available_devices() -> tuple[str, ...]:
    """Devices of this machine, the fastest first."""
    devices = []
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return (*devices, "cpu")


@lru_cache(maxsize=3)
def has_native_bfloat16(device_type: str) -> bool:
    """True if the device has bfloat16 instructions that PyTorch uses; False if it emulates them."""
    if device_type == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    if device_type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return not _BFLOAT16_CPU_FEATURES.isdisjoint(_list_cpu_features())


def _list_cpu_features() -> frozenset[str]:
    """Instruction sets of the processor, from PyTorch (2.11 and later) and from Linux."""
    get_capabilities: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    features = frozenset(name for name, value in get_capabilities().items() if value is True)
    try:
        return features | parse_cpu_features(Path("/proc/cpuinfo").read_text())
    except OSError:
        return features


def parse_cpu_features(cpuinfo: str) -> frozenset[str]:
    """Parse the features of the first processor in ``/proc/cpuinfo``: the line "flags" on x86, "Features" on ARM."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def get_available_memory_bytes(device: str = "auto") -> int:
    """Free memory of a device, within the limit of a container."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    import psutil  # imported on first use: it is not needed for the start of a server

    return min(psutil.virtual_memory().available, _get_container_memory_bytes())


def _get_container_memory_bytes() -> int:
    """Free memory within a container's limit; without one, more than any machine has."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return 2**62
