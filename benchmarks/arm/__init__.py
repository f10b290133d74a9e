"""ARM programs without a board: Debian's packages in a folder, instructions counted in QEMU, cycles by llvm-mca.

Imports the package and `benchmarks.places`.
"""
