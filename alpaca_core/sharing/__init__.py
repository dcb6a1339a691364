"""Datasets and models in the forms of others: written with a card, and read back."""
