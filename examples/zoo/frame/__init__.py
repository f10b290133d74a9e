"""What the recipes have in common: the protocol, the data files, the runs over seeds, measurements and records."""
