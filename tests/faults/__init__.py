"""Faults that really happen: processes killed, disks full, services away."""
