"""The rules of remediation: what is allowed, when it begins, how it goes on, where it ends."""
