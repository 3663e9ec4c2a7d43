"""Judge compressions on the user's own data: what does it cost the task.

The kernels are in `geoembz.evaluation`; here are samples, tasks, plans and reports.
"""

from geoembz.assess.api import evaluate
from geoembz.assess.plan import plan
from geoembz.assess.planned import Plan
from geoembz.assess.result import Evaluation, RecipeResult
from geoembz.assess.sample import Sample

__all__ = ["Evaluation", "Plan", "RecipeResult", "Sample", "evaluate", "plan"]
