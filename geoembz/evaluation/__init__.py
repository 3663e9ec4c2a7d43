"""Measure what a compression costs: fidelity, neighbours, tasks, and the statistics to judge them.

Kernels only: NumPy in, NumPy out. Reading a store and its source belongs to `geoembz.assess`.
"""

from geoembz.evaluation.fidelity import FidelitySums

__all__ = ["FidelitySums"]
