"""Stores that grow in space."""
