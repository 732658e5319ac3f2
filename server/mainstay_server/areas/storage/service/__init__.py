"""Every rule of storage: keys, buckets, uses, uploads, files, links, and what jobs mend."""
