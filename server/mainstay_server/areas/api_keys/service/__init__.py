"""Every rule of the API keys: made, told apart, changed, replaced, stopped, decided by."""
