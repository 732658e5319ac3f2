"""Every rule of the health checks, one file per subject."""
