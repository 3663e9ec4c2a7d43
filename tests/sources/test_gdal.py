"""Which formats a name may stand for: a downloaded raster is no door to other files or servers."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy

import geoembz
from geoembz.errors import SourceError
from geoembz.sources import open_source
from geoembz.sources.gdal import formats_of, open_gdal
from geoembz.sources.inputs import _resolve
from tests import products


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Another raster of the user's."""
    return products.write_raster(
        tmp_path / "secret" / "s.tif", np.asarray(products.unit_vectors(16, 16, 4, seed=1))
    )


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """Run a server on this machine that notes what it is asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", paths
    server.shutdown()
    server.server_close()
    thread.join()


def virtual(member: str) -> str:
    """Return a virtual raster of 16 x 16 pixels and four bands of one file."""
    band = (
        '<VRTRasterBand dataType="Float32" band="{0}"><SimpleSource>'
        f"<SourceFilename>{member}</SourceFilename><SourceBand>{{0}}</SourceBand>"
        "</SimpleSource></VRTRasterBand>"
    )
    bands = "".join(band.format(number) for number in range(1, 5))
    return (
        '<VRTDataset rasterXSize="16" rasterYSize="16"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>500000,10,0,5300000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )


def web_service(url: str) -> str:
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl>'
        "</Service><DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>160</UpperLeftY>"
        "<LowerRightX>160</LowerRightX><LowerRightY>0</LowerRightY><TileLevel>0</TileLevel>"
        "</DataWindow><Projection>EPSG:3857</Projection><BlockSizeX>16</BlockSizeX>"
        "<BlockSizeY>16</BlockSizeY><BandsCount>4</BandsCount></GDAL_WMS>"
    )


@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.img", "a.png", "a.nc", "a.jp2", "a.dat"])
@pytest.mark.parametrize("kind", ["virtual", "web"])
def test_other_names_are_no_door(
    name: str, kind: str, secret: Path, asked: tuple[str, list[str]], tmp_path: Path
) -> None:
    """A virtual raster or a web service under the name of a raster is refused unread."""
    url, paths = asked
    text = virtual(str(secret)) if kind == "virtual" else web_service(url)
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=re.escape(name)):
        geoembz.convert(tmp_path / name, tmp_path / "out.zarr", pca=2)
    assert paths == []
    assert not (tmp_path / "out.zarr").exists()


def test_virtual_rasters_are_read_under_their_name(secret: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.vrt"
    path.write_text(virtual(str(secret)))
    assert open_source(path).dimension == 4


def test_a_web_service_under_the_name_of_a_virtual_raster(
    asked: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, paths = asked
    (tmp_path / "a.vrt").write_text(web_service(url))
    with pytest.raises(SourceError):
        open_source(tmp_path / "a.vrt")
    assert paths == []


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("a.img", "HFA"), ("a.jp2", "JP2OpenJPEG"), ("a.grd", "GSBG"), ("a", "GTiff"),
        ("a.dat", "ENVI"), ("a.nc", "netCDF"), ("a.bil", "EHdr"),
    ],
)  # fmt: skip
def test_ordinary_formats_are_read(name: str, driver: str, secret: Path, tmp_path: Path) -> None:
    """By their content, whatever their name is."""
    with rasterio.Env() as environment:
        if driver not in environment.drivers():
            pytest.skip(f"this GDAL has no {driver}")
    one = tmp_path / "one.tif"
    with rasterio.open(secret) as raster:
        profile = raster.profile | {"count": 1, "dtype": "uint8", "nodata": None}
    with rasterio.open(one, "w", **profile) as raster:
        raster.write(np.arange(256, dtype=np.uint8).reshape(1, 16, 16))
    options = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    copy(one, tmp_path / name, driver=driver, strict=False, **options)
    with open_gdal(str(tmp_path / name)) as raster:
        assert raster.read(1).shape == (16, 16)


def test_subdatasets_are_read_by_their_names(secret: Path, tmp_path: Path) -> None:
    with open_gdal(f"GTIFF_DIR:1:{secret}") as raster:
        assert raster.count == 4
    assert "netCDF" in formats_of('NETCDF:"a.nc":embedding')
    assert "HDF5Image" in formats_of('HDF5:"a.tif.h5"://embedding')
    assert formats_of("/vsizip/a.zip/b.tif") == formats_of("s3://b/c.tiff") == ("GTiff",)


@pytest.mark.parametrize("name", ["WMS:http://h/x", "WCS:http://h/x", "MEM:::DATAPOINTER=1"])
def test_services_have_no_name(name: str) -> None:
    with pytest.raises(SourceError):
        open_source(name)
    with pytest.raises(SourceError, match="not a file of this machine"):
        _resolve("https://h/item.json", f"{name}://x")


def test_every_raster_is_opened_through_one_function() -> None:
    """No other module reads a raster by `rasterio.open`."""
    package = Path(geoembz.__file__).parent
    pattern = re.compile(r"rasterio\.open\(([^)]*)\)", re.DOTALL)
    found = [
        path.name
        for path in package.rglob("*.py")
        for call in pattern.findall(path.read_text())
        if '"w"' not in call and '"r+"' not in call and path.name != "gdal.py"
    ]
    assert found == []
