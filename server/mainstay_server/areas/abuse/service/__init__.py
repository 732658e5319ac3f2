"""The rules of abuse: what is looked for, who is banned for how long, and who never is."""
