"""NIR files: what they hold, what they leave open, and the PyTorch module that is their step.

Imports nouns and `shared`.
"""
