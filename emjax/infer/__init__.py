"""How we learn: the E-step and M-steps, the loop around them, and what they leave uncertain."""
