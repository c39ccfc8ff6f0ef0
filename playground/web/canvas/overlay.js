import { LineRenderer } from "./line_renderer.js"

/** @import { Placement, Stroke } from "./line_renderer.js" */

/**
 * @typedef {object} CanvasDrawing What is drawn on a square canvas; widths are in units of the canvas.
 * @property {readonly Stroke[]} strokes
 * @property {number} penWidth
 * @property {readonly Stroke[]} eraserStrokes
 * @property {number} eraserWidth
 * @property {number} canvasSize
 */

/**
 * Draws on images that are not strokes on paper, hence without preprocessing: strokes become white, erased parts black.
 * The twin of `overlay_drawing` in interpret/drawing/preprocess.py.
 */
export class ImageOverlay {
  /** @type {readonly number[]} */
  #shape
  /** @type {number} */
  #side
  /** @type {LineRenderer} */
  #pen
  /** @type {LineRenderer} */
  #eraser
  /** @type {Float32Array} */
  #image
  /** @type {Placement} */
  #placement = { middleX: 0, middleY: 0, scale: 1, targetX: 0, targetY: 0, shiftX: 0, shiftY: 0 }

  /** @param {readonly number[]} shape (channels, height, width) of the images */
  constructor(shape) {
    const [channels, height, width] = shape
    this.#shape = shape
    this.#side = Math.max(height, width)
    this.#pen = new LineRenderer(this.#side)
    this.#eraser = new LineRenderer(this.#side)
    this.#image = new Float32Array(channels * height * width)
  }

  /**
   * Draw on an image (channels, height, width), values 0 to 1.
   * @param {Float32Array} image not changed
   * @param {CanvasDrawing} drawing
   * @returns {Float32Array} valid until the next call
   */
  draw(image, { strokes, penWidth, eraserStrokes, eraserWidth, canvasSize }) {
    const [channels, height, width] = this.#shape
    const scale = this.#side / canvasSize
    this.#placement.scale = scale
    this.#pen.draw(strokes, penWidth * scale, this.#placement)
    this.#eraser.draw(eraserStrokes, eraserWidth * scale, this.#placement)
    let target = 0
    for (let channel = 0; channel < channels; channel++) {
      for (let row = 0; row < height; row++) {
        for (let index = row * this.#side; index < row * this.#side + width; index++) {
          const kept = image[target] * (1 - this.#eraser.image[index])
          this.#image[target++] = Math.max(kept, this.#pen.image[index])
        }
      }
    }
    return this.#image
  }
}
