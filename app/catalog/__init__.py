"""Which services exist: the format of connector files, and how they are loaded, checked and rendered."""
