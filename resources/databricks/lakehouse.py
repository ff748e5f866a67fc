"""A lakehouse of Unity Catalog external tables, in an external location in Amazon S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ml_platform.errors import BindingError
from ml_platform.records.table import Location
from resources.aws.lakehouse import reached
from resources.databricks.unity_catalog import UnityCatalog, table_name
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    from ml_platform.roles.lakehouse import Lakehouse


class DatabricksLakehouse:
    """Tables and files side by side under one prefix of an external location, opened by what the catalog lends.

    catalog: in which tables are entered; it has to exist. location: URL of the external location or of a folder in it,
    `s3://<bucket>/<path>`. prefix: inside both, already the environment's own, for instance `prod`.
    region: of the bucket. endpoint_url: as for AwsLakehouse.
    """

    LENDS: ClassVar[bool] = True

    def __init__(self, catalog: str, location: str, prefix: str, region: str, endpoint_url: str = "") -> None:
        if not location.startswith("s3://"):
            raise BindingError(
                "lakehouse.location is no URL of Amazon S3, but external locations in other stores are not supported",
                allowed="It is s3://<bucket>/<path>",
            )
        self._names = (catalog, prefix)
        self._root = f"{location.rstrip('/')}/{prefix.strip('/')}"
        self._options = {"aws_region": region, "aws_conditional_put": "etag", **reached(endpoint_url)}
        self._catalog = UnityCatalog(Workspace(), prefix)

    def table(self, key: str) -> Location:
        """As the role promises; the key `silver/flights` is entered as `<catalog>.<prefix>__silver.flights`."""
        uri = f"{self._root}/tables/{key}"
        return Location(key, uri, self._options, self._catalog.access(uri, table_name(*self._names, key)))

    def files(self, key: str) -> Location:
        """As the role promises."""
        uri = f"{self._root}/files/{key}"
        return Location(key, uri, self._options, self._catalog.access(uri))


if TYPE_CHECKING:
    _: type[Lakehouse] = DatabricksLakehouse
