"""Every rule of the heartbeats, one file per subject."""
