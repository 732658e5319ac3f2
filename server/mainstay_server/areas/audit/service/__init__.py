"""Every rule of the audit log: appending, signing, reading, exporting, verifying, removing."""
