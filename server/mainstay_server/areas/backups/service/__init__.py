"""Every rule of backups: manifests, verifying, retention and the recovery sheet."""
