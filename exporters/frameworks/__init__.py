"""What differs from framework to framework; everything else is in `astroedge.exporters`."""
