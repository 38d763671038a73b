"""What we believe: priors over attentiveness, strengths, behavior, the likelihood they make together."""
