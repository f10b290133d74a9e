"""From the calls to an object file, packed weights and a manifest.

Imports nouns, what lies below `compiler`, `program`, `select` and `threads`.
"""
