"""Judge compressions on the user's own data: what does it cost the task.

The kernels are in `geoembz._evaluate.metrics`; here are samples, tasks, plans and reports.
"""

from geoembz._evaluate.evaluate import evaluate
from geoembz._evaluate.evaluation import Evaluation
from geoembz._evaluate.plan import plan
from geoembz._evaluate.planned import Plan
from geoembz._evaluate.sample import ExperimentOptions, Sample

__all__ = ["Evaluation", "ExperimentOptions", "Plan", "Sample", "evaluate", "plan"]
