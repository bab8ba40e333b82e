"""Runs of a pipeline without peers: arrays, values and files in, results out."""
