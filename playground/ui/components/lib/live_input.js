import { ImageOverlay } from "../../../web/canvas/overlay.js"
import { CanvasRasterizer, IMAGE_SIZE } from "../../../web/canvas/rasterize.js"
import { ImageResizer } from "../../../web/canvas/resize.js"

/** @import { Stroke } from "../../../web/canvas/line_renderer.js" */
/** @import { Preprocessing } from "../../../web/canvas/rasterize.js" */

/**
 * @typedef {object} Overlay Image that is drawn on where drawings are not preprocessed.
 * @property {Float32Array | null} image values 0 to 1; null: black
 * @property {number[]} shape (channels, height, width)
 * @property {Stroke[]} eraserStrokes
 * @property {number} eraserWidth
 */

/**
 * @typedef {object} LiveInputOptions
 * @property {number} size side of the canvas in pixels
 * @property {number} penWidth
 * @property {Preprocessing} preprocessing
 * @property {Overlay | null} overlay null: strokes are preprocessed like MNIST's digits
 * @property {number[]} inputShape of the networks
 */

/** @typedef {(step: number, values: Float32Array, shape: readonly number[]) => void} StepListener */

/** @type {Preprocessing} */
const RESIZE_ONLY = { fitBox: false, normalizeStrokeWidth: false, centerByMass: false }
const DRAWING_SHAPE = [1, IMAGE_SIZE, IMAGE_SIZE]

/** Computes the input of the networks from strokes, as `build_canvas_input` in ui/model_input.py does. */
export class LiveInput {
  #rasterizer = new CanvasRasterizer()
  /** @type {LiveInputOptions} */
  #options
  /** @type {ImageResizer} */
  #resizer
  /** @type {ImageOverlay | null} */
  #overlay
  /** @type {Float32Array} */
  #background

  /** @param {LiveInputOptions} options */
  constructor(options) {
    const { overlay, inputShape } = options
    this.#options = options
    this.#resizer = new ImageResizer(overlay?.shape ?? DRAWING_SHAPE, inputShape)
    this.#overlay = overlay && new ImageOverlay(overlay.shape)
    const count = overlay?.shape.reduce((product, side) => product * side, 1) ?? 0
    this.#background = overlay?.image ?? new Float32Array(count)
  }

  /**
   * Compute the model input.
   * @param {readonly Stroke[]} strokes
   * @param {StepListener} [onStep] is told the image of every preprocessing step, which the next step overwrites
   * @returns {Float32Array} valid until the next call
   */
  compute(strokes, onStep) {
    const { size, penWidth, preprocessing, overlay, inputShape } = this.#options
    if (overlay && this.#overlay) {
      const { eraserStrokes, eraserWidth } = overlay
      const drawing = { strokes, penWidth, eraserStrokes, eraserWidth, canvasSize: size }
      const input = this.#resizer.resize(this.#overlay.draw(this.#background, drawing))
      onStep?.(0, input, inputShape)
      return input
    }
    const rasterize = (/** @type {Preprocessing} */ steps) => this.#rasterizer.rasterize(strokes, size, penWidth, steps)
    if (onStep) {
      onStep(0, rasterize(RESIZE_ONLY), DRAWING_SHAPE)
      onStep(1, rasterize({ ...preprocessing, centerByMass: false }), DRAWING_SHAPE)
    }
    const input = this.#resizer.resize(rasterize(preprocessing))
    onStep?.(2, input, inputShape)
    return input
  }
}
