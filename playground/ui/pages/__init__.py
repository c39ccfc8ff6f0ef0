"""The pages, each one function that the shell's navigation calls."""
