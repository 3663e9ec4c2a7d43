#!/usr/bin/env bash
# A stranger's first hour: packaging/first_hour.sh REPOSITORY [PYTHON]. A clean clone, a bare environment, no
# cache of any tool; what README and the tutorial say, step by step, and how long each took. What a step
# said goes to standard error where it failed. Needs Python 3.12 with venv, git, curl, a package index; npm for the viewer.
set -u
repository=$(realpath "$1") python=$(command -v "${2:-python3.12}")
folder=$(mktemp -d "${TMPDIR:-/tmp}/geoembz-hour.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
mkdir home
export HOME=$folder/home XDG_CACHE_HOME=$folder/cache PIP_CACHE_DIR=$folder/cache/pip
export UV_CACHE_DIR=$folder/cache/uv npm_config_cache=$folder/cache/npm PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH VIRTUAL_ENV UV_PYTHON

failures=0
step() { # what a reader types, and the seconds it takes
  local started=$SECONDS outcome=ok
  bash -c "$1" >"$folder/said" 2>&1 </dev/null || { outcome=FAILED failures=$((failures + 1)) && cat "$folder/said" >&2; }
  printf '| `%s` | %s s | %s |\n' "$1" $((SECONDS - started)) "$outcome"
}

printf '| step | time | |\n|---|---|---|\n'
step "$python -m venv bare" | sed "s#$python#python3.12#"
export PATH=$folder/bare/bin:$PATH
step "git clone $repository geoembz" | sed "s#$repository#REPOSITORY#"
cd geoembz || exit 1
step "pip install uv && uv run geoembz demo"
step "uv sync --extra all"
export PATH=$PWD/.venv/bin:$PATH
step "geoembz convert geoembz-demo/embedding.tif tile.zarr --pca 64 --int8 --quiet"
step "geoembz info tile.zarr"
step "geoembz evaluate tile.zarr --source geoembz-demo/embedding.tif --labels geoembz-demo/labels.tif --samples 3000 --report report"
step "python -c 'import geoembz; print(geoembz.open(\"tile.zarr\")[\"embedding\"].isel(y=slice(64), x=slice(64)).load().shape)'"
step "geoembz preview tile.zarr tile.png"
step "geoembz search tile.zarr --point 10.347,46.922 --k 10"
step "geoembz export tile.zarr tile.tif"
step "geoembz verify tile.zarr"
step "geoembz publish tile.zarr published/tile.zarr"

started=$SECONDS # the page is built from a clone when it is first asked for
geoembz view tile.zarr --no-browser --port 8123 >"$folder/said" 2>&1 &
until curl --silent --fail --output /dev/null http://127.0.0.1:8123/ || ! kill -0 $! 2>/dev/null; do sleep 1; done
curl --silent --fail --output /dev/null http://127.0.0.1:8123/ && outcome=ok || { outcome=FAILED failures=$((failures + 1)) && cat "$folder/said" >&2; }
kill $! && wait $!
printf '| `%s`, until its page is there | %s s | %s |\n' "geoembz view tile.zarr" $((SECONDS - started)) "$outcome"
exit $((failures > 0))
