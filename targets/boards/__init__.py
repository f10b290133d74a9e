"""Which processor to compile for: board files, and what this machine is.

Imports nouns and `families`; runs on a device too (`astroedge targets`, `doctor`).
"""
