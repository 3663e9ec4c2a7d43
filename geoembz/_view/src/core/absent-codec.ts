/** Stands for the compressors that zarrita could load and geoembz stores never use, to keep them out of the bundle. */

export default {
  fromConfig(): never {
    throw new Error("this compressor is no part of the viewer; geoembz stores use zstd");
  },
};
