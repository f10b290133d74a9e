"""The trained networks of the zoo: `NAME.safetensors`, weights and example inputs, and `NAME.json`, the record of each.

Data alone: `astroedge zoo` lists them, and `astroedge export zoo:NAME` and `astroedge.models.trained` read them.
"""
