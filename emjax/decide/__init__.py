"""Decisions: from a posterior to votes that are kept, dropped or weighted."""
