"""The rules of incidents, by what they are about."""
