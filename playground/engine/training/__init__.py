"""The training loop: learner, evaluation, commands, checks."""
