"""Stores as lazy xarray datasets: the engine, and the accessor `.geoembz`."""
