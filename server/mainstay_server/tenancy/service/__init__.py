"""Every rule of tenancy: people, sign-in, tokens, projects, keys and instances."""
