"""Fault injection: after any fault a run is listed, resumes and ends with the same weights.

Workers and servers are real processes, forked on demand; most other faults are injected into training in this process.
"""

import pytest

pytest.register_assert_rewrite("tests.faults.injecting")
