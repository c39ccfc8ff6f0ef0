"""Nothing lost: whatever a machine, a disk or a person does to a run, it is found again and ends in the same weights.

Workers and servers are real processes, forked on demand; most other faults strike a training in this process.
"""

import pytest

pytest.register_assert_rewrite("tests.faults.injecting")
