"""Every rule of error events: from the bytes of an SDK to the issue that people work on."""
