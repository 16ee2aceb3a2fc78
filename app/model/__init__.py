"""The model: its contract, packing, runtime and store."""
