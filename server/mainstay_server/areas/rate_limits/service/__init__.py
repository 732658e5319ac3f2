"""The rules of the limits: what holds, what it decides, and whom it holds back."""
