"""The functions a reference may pass its value through: a closed list."""
