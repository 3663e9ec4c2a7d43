"""Put a store where others read it: whole, verified, resumable, described."""

from geoembz._objects.faults import RetryPolicy
from geoembz._publish.api import publish
from geoembz._publish.manifest import Manifest, manifest_name
from geoembz._publish.run import PublishReport, check_anonymous, copy_store
from geoembz._publish.verify import (
    Problem,
    read_digests,
    read_manifest,
    verify_against,
    verify_objects,
)

__all__ = [
    "Manifest",
    "Problem",
    "PublishReport",
    "RetryPolicy",
    "check_anonymous",
    "copy_store",
    "manifest_name",
    "publish",
    "read_digests",
    "read_manifest",
    "verify_against",
    "verify_objects",
]
