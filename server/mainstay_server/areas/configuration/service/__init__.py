"""Every rule of configuration documents, one file per subject."""
