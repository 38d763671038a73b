"""The model: priors over attentiveness, strengths, response models and their likelihood."""
