"""Measure what a compression costs: fidelity, neighbours, tasks, and the statistics to judge them.

Kernels only: NumPy in, NumPy out. Reading a store and its source belongs to `geoembz._evaluate`.
Vectors are rows here, ``(n, D)``, as scikit-learn has them; rasters and codes are component first
elsewhere, so callers transpose.

`fidelity`, `pixelwise`, `spectrum` and `rank` need no labels; `neighbours`, `probe`,
`classification`, `retrieval`, `regression`, `segmentation` and `change` are the tasks; `splits` and
`spatial` part the rows; `bootstrap` and `statistics` judge the differences.
"""

from geoembz.encoding._fidelity import FidelitySums

__all__ = ["FidelitySums"]
