"""The tick as a list of calls: cut out of TVM's module, merged, scheduled, with a place in memory for every value.

Imports nouns, what lies below `compiler`, `lower` and `compiler.lower.lowerings`.
"""
