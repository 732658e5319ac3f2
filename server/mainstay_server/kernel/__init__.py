"""What every part stands on: stores, events, jobs, problems, settings, clock, the way out."""
