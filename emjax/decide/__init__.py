"""What to do: from a posterior to votes kept, dropped or weighted."""
