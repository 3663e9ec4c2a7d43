"""Stores on object stores, real and pretended."""
