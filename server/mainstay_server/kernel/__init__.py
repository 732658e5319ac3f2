"""What every part of the server stands on, blind to all of them."""
