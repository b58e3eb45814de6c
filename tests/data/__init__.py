"""Tests of `helpers.data`, one module for each of its modules."""

PARTS = ("train", "validation", "test")
