"""`astroedge doctor`: what of AstroEdge works on this machine, each gap with a cure.

Imports nouns, `targets.boards`, `targets.families`, `targets.cuda` and `targets.link`.
"""
