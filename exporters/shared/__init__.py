"""What every room of this floor uses: words for modules, forked children, random numbers, batch axes.

Imports nouns; no other room of this floor.
"""
