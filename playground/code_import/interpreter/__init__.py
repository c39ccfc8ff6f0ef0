"""Interpreter of pasted programs: Python's semantics over known values; the code itself is never executed."""
