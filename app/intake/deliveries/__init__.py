"""Deliveries: looked at, checked, kept or refused, and answered."""
