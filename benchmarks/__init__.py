"""Speed and memory, measured as ratios in one run; see each module's ``--help``."""
