"""Put a store where others read it: whole, verified, resumable, described."""

from geoembz.publish.manifest import Manifest, manifest_name
from geoembz.publish.retry import RetryPolicy
from geoembz.publish.run import PublishReport, check_anonymous, publish
from geoembz.publish.verify import Problem, read_manifest, verify_against, verify_objects

__all__ = [
    "Manifest",
    "Problem",
    "PublishReport",
    "RetryPolicy",
    "check_anonymous",
    "manifest_name",
    "publish",
    "read_manifest",
    "verify_against",
    "verify_objects",
]
