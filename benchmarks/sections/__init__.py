"""What `make bench` measures: models, firing rates, sizes, contexts; one file each."""
