"""What areas say to and ask of each other, without importing each other."""
