"""The compiler: a step graph becomes one native function, its weights and a manifest.

`passes.py` lists every pass in order, with what it requires and ensures (docs/passes.md shows the list); `pipeline.py`
runs them on the state in `compilation.py`. The rooms are the parts of the journey: lower → program → select → threads →
emit. These files import all of them, and no room imports these files.

Imports nouns, what lies below `compiler`, and its rooms.
"""
