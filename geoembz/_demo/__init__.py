"""The demonstration: a synthetic scene, converted, opened lazily and judged."""

from geoembz._demo.run import DemoResult, run_demo
from geoembz._demo.scene import DemoFiles, write_demo

__all__ = ["DemoFiles", "DemoResult", "run_demo", "write_demo"]
