"""Measurements of one question each, with a make target of their own."""
