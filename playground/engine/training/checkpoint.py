"""Format of a checkpoint: its schema version and the keys that it must have."""

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
