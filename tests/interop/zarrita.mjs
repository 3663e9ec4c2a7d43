// Print the array `embedding` of the group at each address as JSON, or why it cannot be read.

import * as zarr from "zarrita";

process.on("unhandledRejection", () => {}); // zarrita leaves one behind where it knows no such codec

async function read(url) {
  const group = zarr.root(new zarr.FetchStore(url));
  const array = await zarr.open(group.resolve("embedding"), { kind: "array" });
  const { data, shape } = await zarr.get(array);
  return { data: Array.from(data, Number), shape, dtype: array.dtype };
}

const found = [];
for (const url of process.argv.slice(2)) found.push(await read(url).catch((error) => ({ error: String(error) })));
console.log(JSON.stringify(found));
