"""The seed article's own numbers (Robinson & Corley, "Compressing Earth Embeddings", 2026-03-24).

EuroSAT accuracies in per cent, by model; the backbones differ from ours, so shapes compare, not
absolute numbers.
"""

MODELS = ("AEF 64d", "OlmoEarth-nano 128d", "Tessera 512d", "DINOv3 1024d", "ResNet50 2048d")

QUANTIZATION: dict[str, tuple[float | None, ...]] = {
    "float32": (94.5, 94.8, 87.6, 94.5, 92.6),
    "int8": (94.6, 94.8, 87.8, 94.5, 92.5),
    "int4": (94.2, 94.4, 86.5, 94.4, 92.4),
    "int2": (91.7, 91.0, 84.7, 92.3, None),
    "binary": (88.8, 90.8, 81.4, 91.8, 86.8),
}
"""kNN accuracy by quantizer. The int2 row has four numbers; the article does not say which model is
missing, so they are put in the order of the first four."""

SPECTRUM: dict[str, dict[int, int]] = {
    "AEF 64d": {4: 57, 8: 80, 16: 91, 32: 97, 64: 100},
    "OlmoEarth-nano 128d": {4: 77, 8: 88, 16: 95, 32: 98, 64: 100},
    "Tessera 512d": {4: 94, 8: 98, 16: 99, 32: 100, 64: 100, 256: 100},
    "DINOv3 1024d": {4: 52, 8: 64, 16: 74, 32: 82, 64: 88, 256: 97},
}

COMBINED: dict[str, tuple[float, float]] = {
    "float32": (94.5, 98.0),
    "int8": (94.5, 98.0),
    "int4": (94.4, 97.9),
    "pca128-int8": (93.6, 97.3),
    "pca64-int8": (93.1, 96.4),
    "pca32-int8": (92.4, 94.1),
    "pca16-int4": (89.3, 90.5),
}
"""DINOv3: kNN and linear probe."""

HAMMING: dict[str, tuple[float, float, float]] = {
    "DINOv3 1024d": (94.5, 91.8, 93.2),
    "Tessera 512d": (87.6, 81.4, 87.0),
    "OlmoEarth-nano 128d": (94.8, 90.8, 92.7),
    "AEF 64d": (94.5, 88.8, 89.1),
}
"""Uncompressed, reconstructed bits by cosine, raw bits by Hamming distance."""

IMBALANCE = {"DINOv3 1024d": 0.018, "OlmoEarth-nano 128d": 0.052, "AEF 64d": 0.082}

WORST_CLASSES = (
    ("AEF", "int4 (32 B)", "Highway", -0.012),
    ("AEF", "binary (8 B)", "Highway", -0.170),
    ("AEF", "PCA(8)+binary (1 B)", "Highway", -0.486),
    ("OlmoEarth-nano", "PCA(8)+binary (1 B)", "PermanentCrop", -0.570),
    ("Tessera", "PCA(8)+binary (1 B)", "PermanentCrop", -0.479),
)
