"""Files and objects: local folders, S3, HTTP and other stores behind fsspec."""
