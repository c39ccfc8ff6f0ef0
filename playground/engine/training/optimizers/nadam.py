"""State of NAdam: torch makes it at the first step, a CUDA graph needs it before."""

from playground.engine.training.optimizers.update_rule import UpdateRule

NADAM = UpdateRule(
    list_moments=lambda _group: ("exp_avg", "exp_avg_sq"),
    device_scalars={"step": 0.0, "mu_product": 1.0},  # the product of all momentums so far
)
