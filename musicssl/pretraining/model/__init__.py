"""The model of a run: its configuration, first weights, device and kernels."""
