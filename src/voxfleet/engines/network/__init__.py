"""What engines that run a PyTorch network share: devices, precisions, weights."""

import os

# Threads of a matrix product that wait for each other by spinning stand still as soon as anything else wants the
# processor: with one competitor on two cores a step took fifty times as long. Must be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
