"""What is done to a step graph, however it came about: cleaned, rewritten, searched for spikes, put in a loop.

Imports nouns and `shared`: a graph knows nothing of the model that it came from.
"""
