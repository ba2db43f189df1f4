"""What each kind of step does, and one call with everything around it."""
