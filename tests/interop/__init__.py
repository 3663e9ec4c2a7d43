"""What other software reads of our stores: the matrix of ``docs/reference/interop.csv``."""
