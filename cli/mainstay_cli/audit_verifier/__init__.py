"""Verify an exported audit log: nothing but Python, no server, no network.

A bundle holds `rows.jsonl` (the rows, one a line, byte for byte as they were hashed), signed
checkpoints, signed notes of what retention removed, and the public keys. Each row names the hash of
the row before it; all rows are the leaves of a Merkle tree (RFC 6962) whose root a checkpoint signs
(C2SP tlog-checkpoint, Ed25519). Whoever changed the database afterwards cannot make all of that
fit, and not even whoever holds the signing key can make it fit a checkpoint that you kept yourself.
"""
