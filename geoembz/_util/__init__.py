"""Small helpers that any room may use: they know no format and no product."""
