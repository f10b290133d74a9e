"""`astroedge run --source`: a step on data as it comes, tick by tick at its due times, and what it says of them.

Imports nouns and `workflows.inputs`.
"""
