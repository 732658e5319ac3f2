"""From an alert to messages: who hears of it, when, with what else, and why not yet."""
