"""The demo: the server with a sample application that uses it, and traffic."""
