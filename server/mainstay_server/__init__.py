"""The Mainstay server: areas over tenancy over the kernel, folded by the app."""
