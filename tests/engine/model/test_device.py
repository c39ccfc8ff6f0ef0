"""Native bfloat16 of processors, from sample texts of ``/proc/cpuinfo`` and PyTorch's capabilities."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from playground.engine.model import device
from playground.engine.model.device import has_native_bfloat16, parse_cpu_features

X86_WITH_BFLOAT16 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8481C
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile
bugs\t\t: spectre_v1

processor\t: 1
flags\t\t: fpu
"""
X86_WITHOUT_BFLOAT16 = "processor\t: 0\nmodel name\t: a bf16 name\nflags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n"
NEOVERSE_V1 = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd evtstrm aes fphp asimdhp cpuid asimdrdm sve asimddp bf16 i8mm svebf16
CPU implementer\t: 0x41

processor\t: 1
Features\t: fp asimd
"""
CORTEX_A72 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\n"


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    has_native_bfloat16.cache_clear()
    yield
    has_native_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (X86_WITH_BFLOAT16, True),
        (X86_WITHOUT_BFLOAT16, False),
        (NEOVERSE_V1, True),
        (CORTEX_A72, False),
        ("", False),
    ],
    ids=["x86 with", "x86 without", "ARM with", "ARM without", "empty"],
)
def test_native_bfloat16_from_cpuinfo(cpuinfo: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(Path, "read_text", lambda path: cpuinfo)
    assert has_native_bfloat16("cpu") is expected


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_bf16", "bf16"])
def test_native_bfloat16_from_pytorch_without_cpuinfo(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_error(_path: object) -> str:
        raise FileNotFoundError

    capabilities = {"architecture": "any", "num_sockets": 1, "bf16": False, "avx512_bf16": False, feature: True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(Path, "read_text", raise_error)
    assert has_native_bfloat16("cpu")
    has_native_bfloat16.cache_clear()
    capabilities[feature] = False
    assert not has_native_bfloat16("cpu")


def test_no_native_bfloat16_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(device, "_list_cpu_features", lambda: frozenset(("bf16",)))
    assert not has_native_bfloat16("cpu")


def test_features_are_those_of_the_first_processor() -> None:
    assert parse_cpu_features(X86_WITH_BFLOAT16) >= {"avx2", "amx_bf16"}
    assert parse_cpu_features(NEOVERSE_V1) >= {"asimd", "bf16"}
    assert "Intel(R)" not in parse_cpu_features(X86_WITH_BFLOAT16)


def test_other_devices_have_no_native_bfloat16() -> None:
    assert not has_native_bfloat16("mps")
