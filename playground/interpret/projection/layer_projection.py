"""Projections of a layer's activations for many images: each is computed once, for all sessions."""

import weakref

import numpy as np
from numpy.typing import NDArray

from playground.engine.cache import ByteBoundedCache
from playground.engine.data.batch import LabeledImages
from playground.engine.progress import Steps
from playground.interpret.model import Model
from playground.interpret.projection.embedding import PcaProjection, compute_tsne, extract_layer_features_in_steps

Array = NDArray[np.float32]

_CacheKey = tuple[Model, int, weakref.ref[LabeledImages]]  # the caches do not keep the images
_pca_cache: ByteBoundedCache[_CacheKey, tuple[Array, PcaProjection]] = ByteBoundedCache(64 * 2**20)
_tsne_cache: ByteBoundedCache[_CacheKey, Array] = ByteBoundedCache(4 * 2**20)


def project_by_pca(model: Model, layer_index: int, data: LabeledImages) -> Steps[tuple[Array, PcaProjection]]:
    """Compute a layer's features (count, values) of all images, and fit a PCA to them; errors of ``PcaProjection``."""

    def compute() -> Steps[tuple[Array, PcaProjection]]:
        features = yield from extract_layer_features_in_steps(model, data.images, layer_index)
        return features, PcaProjection.fit(features)

    key = (model, layer_index, weakref.ref(data))
    return _pca_cache.get_or_compute_in_steps(key, compute, is_resumable=True)


def project_by_tsne(model: Model, layer_index: int, data: LabeledImages) -> Steps[Array]:
    """Compute the t-SNE points (count, 2) of all images; raises the errors of ``compute_tsne``."""

    def compute() -> Steps[Array]:
        features, _ = yield from project_by_pca(model, layer_index, data)
        return (yield from compute_tsne(features))

    return _tsne_cache.get_or_compute_in_steps((model, layer_index, weakref.ref(data)), compute)
