"""Settings of the evaluation tests."""

from hypothesis import settings

settings.register_profile("evaluation", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("evaluation")
