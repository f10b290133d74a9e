"""The trained networks of the zoo: `NAME.safetensors`, weights and example inputs, and `NAME.json`, the record of each.

Data alone: `astroedge zoo` lists them, `astroedge export zoo:NAME` and `astroedge.models.load_trained` read them.
"""
