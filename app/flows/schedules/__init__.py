"""Schedules: five cron fields, or words; and when they fire."""
