"""The same model under full Bayes: users summed out exactly, NUTS on what is left (extra `bayes`)."""
