"""The assembly: areas folded into one program, opened, served and ended in order."""
