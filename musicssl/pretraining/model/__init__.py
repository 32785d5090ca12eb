"""The model of a run: configuration, first weights, kernels."""
