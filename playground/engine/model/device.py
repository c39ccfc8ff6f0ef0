"""Which device trains and in which precision: asked of the hardware, never assumed."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from playground.core.recipe import Recipe
from playground.errors import RecipeError


@dataclass(frozen=True)
class DeviceConfig:
    """A device and the precision of the forward pass; weights and updates are always float32."""

    device: torch.device
    is_bfloat16: bool

    @property
    def precision(self) -> str:
        """The word for screens and logs."""
        return "bfloat16" if self.is_bfloat16 else "float32"


def choose_device_config(recipe: Recipe) -> DeviceConfig:
    """The device and precision that a recipe gets here; raises RecipeError for a device that is not there."""
    available = list_available_devices()
    if recipe.device != "auto" and recipe.device not in available:
        raise RecipeError(
            f"The device {recipe.device!r} is not on this machine.",
            expected=f"There are: {', '.join(available)}.",
            fix="Choose 'auto'.",
        )
    device = torch.device(available[0] if recipe.device == "auto" else recipe.device)
    bfloat16 = recipe.precision == "bfloat16" or (recipe.precision == "auto" and has_native_bfloat16(device.type))
    return DeviceConfig(device, bfloat16)


@lru_cache(maxsize=1)
def list_available_devices() -> tuple[str, ...]:
    """The devices of this machine, the fastest first."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return (*found, "cpu")


@lru_cache(maxsize=3)
def has_native_bfloat16(device_type: str) -> bool:
    """Whether bfloat16 is computed by instructions of its own rather than emulated."""
    if device_type == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    if device_type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def get_available_memory_bytes(device: str = "auto") -> int:
    """Memory that is free for a training on a device; a container's own limit counts."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    try:
        meminfo = Path("/proc/meminfo").read_text()
        kilobytes = next(line.split()[1] for line in meminfo.splitlines() if line.startswith("MemAvailable"))
        return min(int(kilobytes) * 1024, _get_container_memory_bytes())
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        except (ValueError, OSError, AttributeError):
            return 4 * 1024**3


def _get_container_memory_bytes() -> int:
    """What a container's limit leaves; without one, more than any machine has."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return 2**62
