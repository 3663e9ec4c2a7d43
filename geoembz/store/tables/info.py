"""What a table store is, in numbers: what `geoembz info` prints."""

from dataclasses import dataclass

from geoembz._text import figure
from geoembz._util.results import Result
from geoembz.errors import redact
from geoembz.store.tables.reader import TableReader


@dataclass(frozen=True)
class TableInfo(Result):
    """A table store at a glance.

    Parameters
    ----------
    store, version, recipe, encoding_hash, dimension, n_components, model, source_data
        As in `StoreInfo`.
    rows, valid_rows
        Rows of the table, and those that hold an embedding.
    chunk, shard
        Rows of a chunk and of a shard.
    columns
        Numeric columns, kept as arrays.
    table
        File with the other columns.
    crs, bbox
        Where the rows lie.
    bytes_per_embedding, bytes_stored, bytes_per_row
        Nominal size of one code; size of all objects; that by row.
    explained_variance, cosine, cosine_centred, rmse
        As measured by the conversion.
    """

    store: str
    version: str
    recipe: str
    encoding_hash: str
    dimension: int
    n_components: int
    rows: int
    valid_rows: int
    chunk: int
    shard: int
    columns: tuple[str, ...]
    table: str | None
    crs: str
    bbox: tuple[float, ...] | None
    model: str
    source_data: tuple[str, ...]
    bytes_per_embedding: int
    bytes_stored: int
    bytes_per_row: float
    explained_variance: float
    cosine: float | None
    cosine_centred: float | None
    rmse: float | None

    def _rows(self) -> list[tuple[str, ...]]:
        bbox = "unknown" if self.bbox is None else ", ".join(f"{v:.10g}" for v in self.bbox)
        return [
            ("store", self.store),
            ("format", f"{self.version}, a table"),
            ("recipe", f"{self.recipe}  ({self.dimension} -> {self.n_components} components)"),
            ("encoding", self.encoding_hash),
            ("rows", f"{self.rows:,}, {self.valid_rows:,} with a vector"),
            ("cut", f"chunks of {self.chunk:,} rows in shards of {self.shard:,}"),
            ("columns", ", ".join(self.columns) or "none but the place"),
            ("other columns", self.table or "none"),
            ("crs", self.crs),
            ("bbox", bbox),
            ("model", self.model),
            ("source", ", ".join(self.source_data)),
            ("bytes stored", f"{self.bytes_stored:,}"),
            ("bytes/row", f"{self.bytes_per_row:.2f}  ({self.bytes_per_embedding} nominal)"),
            ("explained variance", f"{self.explained_variance:.4f}"),
            ("cosine", figure(self.cosine)),
            ("cosine, centred", figure(self.cosine_centred)),
            ("rmse", figure(self.rmse)),
        ]


def describe_table(store: str) -> TableInfo:
    """Open a table store and describe it.

    Raises
    ------
    StoreError
        If there is no store of a table.
    """
    reader = TableReader.open(store)
    attributes, encoding = reader.attributes, reader.encoding
    bytes_stored = reader.stored_bytes()
    return TableInfo(
        store=redact(store),
        version=attributes.version,
        recipe=str(encoding.recipe),
        encoding_hash=encoding.hash,
        dimension=encoding.dimension,
        n_components=encoding.n_components,
        rows=reader.n_rows,
        valid_rows=int(attributes.rows["valid"]),
        chunk=reader.codes.chunks[0],
        shard=(reader.codes.shards or reader.codes.chunks)[0],
        columns=attributes.columns,
        table=attributes.table,
        crs=attributes.crs_code or attributes.crs_wkt.partition('"')[2].partition('"')[0],
        bbox=attributes.bbox,
        model=attributes.model,
        source_data=tuple(str(source["uri"]) for source in attributes.sources),
        bytes_per_embedding=encoding.bytes_per_vector,
        bytes_stored=bytes_stored,
        bytes_per_row=bytes_stored / reader.n_rows,
        explained_variance=encoding.report.explained_variance,
        cosine=attributes.fidelity.get("cosine"),
        cosine_centred=attributes.fidelity.get("cosine_centred"),
        rmse=attributes.fidelity.get("rmse"),
    )
