"""What opens and ends alerts: one module for each part whose word is heard or counts are judged."""
