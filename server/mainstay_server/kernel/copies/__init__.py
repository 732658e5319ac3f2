"""Copies: a stream compressed, sealed for its recipients and put in several places at once.

The format is that of plain tools, `zstd` and then `age`, so that a copy opens without Mainstay.
Writing and reading run in a process of their own (`running` starts it): sealing holds Python's
lock, memory stays bounded whatever the size, and to cancel is to end a process. That is why this
lies in the kernel, whose modules load in a tenth of a second, and not in an area.
"""
