"""What every room of this floor uses: words for modules, forked children, random numbers, batch axes and sizes.

Imports nouns; no other room of this floor.
"""
