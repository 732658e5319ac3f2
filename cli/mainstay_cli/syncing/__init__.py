"""A folder that several machines share: scanned, compared, sent and written in safe steps."""
