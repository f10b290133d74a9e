"""From the calls to an object file, packed weights and a manifest.

Imports nouns, what lies below `compiler`, `lower`, `program`, `select` and `threads`.
"""
