"""Stores that an earlier commit wrote, and the same conversions made again."""
