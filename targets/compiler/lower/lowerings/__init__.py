"""Relax operators that have a kernel of their own: one function each, from a call to the call of that kernel.

Imports nouns and what lies below `compiler`.
"""
