"""What is sent to an app, looked at before the app's own code sees it."""
