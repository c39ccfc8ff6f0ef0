"""Format of a checkpoint: its schema version, the keys that it must have, and the reader of older key names."""

from typing import Any

CHECKPOINT_SCHEMA = 2  # 1 had the optimizer's moments weight by weight
REQUIRED_CHECKPOINT_KEYS = {
    "architecture",
    "recipe",
    "step",
    "epoch",
    "position",
    "elapsed_s",
    "model",
    "optimizer",
    "log_bytes",
}

# Version 0.1's names of keys.
_LEGACY_KEYS = {"course": "metric_history", "last_finding": "last_diagnosis", "tested_at": "tested_at_step"}


def rename_legacy_keys(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Give the keys of a checkpoint of version 0.1 the names that they have now."""
    return {_LEGACY_KEYS.get(key, key): value for key, value in checkpoint.items()}
