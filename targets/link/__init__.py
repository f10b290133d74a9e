"""From an object, or a GPU's code, to the library of a bundle: the C shim, the manifest as C data, the linker.

Imports nouns, `families`, `boards` and `cuda`; its C includes `astroedge/abi` alone.
"""
