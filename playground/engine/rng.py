"""Randomness as a pure function of names and numbers: what is drawn for (seed, epoch) never depends on the past."""

import hashlib

import torch


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any names and numbers; near inputs give unrelated seeds."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def make_generator(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for exactly these parts."""
    return torch.Generator(device=device).manual_seed(derive_seed(*parts))
