"""Program that computes a t-SNE projection; ``embedding`` starts it and reads its progress from its output.

``python -m playground.interpret.projection.tsne FEATURES.npy POINTS.npy PERPLEXITY ITERATIONS SEED``.
Reduction to 50 dimensions first: van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008, section 4.
"""

import sys
from pathlib import Path

import numpy as np

_PCA_DIMENSIONS = 50


def main(source: str, target: str, perplexity: str, iterations: str, seed: str) -> None:
    """Read features (count, values) and write points (count, 2) float32; deterministic for a seed."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    features = np.load(source)
    random_state = int(seed) % 2**32
    dimensions = min(_PCA_DIMENSIONS, *features.shape)
    reduced = PCA(dimensions, random_state=random_state).fit_transform(features)
    if dimensions == 1:
        reduced = np.pad(reduced, ((0, 0), (0, 1)))  # the initialization by PCA needs two columns
    method = TSNE(
        init="pca", perplexity=float(perplexity), max_iter=int(iterations), random_state=random_state, verbose=2
    )
    points = method.fit_transform(reduced).astype(np.float32)
    # Rename after writing, so that a file of this name is always complete.
    unfinished = Path(target).with_suffix(".part.npy")
    np.save(unfinished, points)
    unfinished.replace(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
