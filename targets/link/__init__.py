"""From an object to the library of a bundle: the C shim, the manifest as C data, the linker.

Imports nouns and `boards`; its C includes `astroedge/abi` alone.
"""
