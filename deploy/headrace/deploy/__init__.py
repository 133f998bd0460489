"""Deriving the deployment from a pipeline's declaration."""
