"""Measure what a compression costs: fidelity, neighbours, tasks, and the statistics to judge them.

Kernels only: NumPy in, NumPy out. Reading a store and its source belongs to `geoembz._evaluate`.
Vectors are rows here, ``(n, D)``, as scikit-learn has them; rasters and codes are component first
elsewhere, so callers transpose.

`structure` needs no labels; `neighbours` and `probes` answer, `scores` scores the answers, `splits`
parts the rows and `statistics` judges the differences.
"""
