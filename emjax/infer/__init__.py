"""Inference: the E-step and M-steps, the loop around them, posteriors and standard errors."""
