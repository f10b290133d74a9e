"""`astroedge eval`: what a step makes of labelled data or text, beside what the model makes of it.

Imports nouns, stages and `workflows.inputs`.
"""
