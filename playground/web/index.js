import { EngineClient } from "./engine/engine_client.js"

/** @import { EngineOptions } from "./engine/engine_client.js" */

export { ImageOverlay } from "./canvas/overlay.js"
export { CanvasRasterizer, IMAGE_SIZE, MNIST_PREPROCESSING } from "./canvas/rasterize.js"
export { ImageResizer } from "./canvas/resize.js"
export { Network } from "./engine/network.js"

/**
 * Start an engine in a worker of its own.
 * @param {EngineOptions} options
 * @returns {EngineClient}
 */
export function startEngine(options) {
  return new EngineClient({ workerSource: WORKER_SOURCE, ...options })
}
