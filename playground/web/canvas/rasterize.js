import { clip, LineRenderer } from "./line_renderer.js"

/** @import { Placement, Stroke } from "./line_renderer.js" */

/**
 * @typedef {object} Preprocessing Steps that are applied to a drawing; without any the canvas is only resized.
 * @property {boolean} fitBox scale to the box
 * @property {boolean} normalizeStrokeWidth draw with MNIST's stroke width
 * @property {boolean} centerByMass move the center of mass to MNIST's
 */

/** @typedef {{ lowX: number, lowY: number, highX: number, highY: number }} Bounds */

/** @type {Preprocessing} */
export const MNIST_PREPROCESSING = { fitBox: true, normalizeStrokeWidth: true, centerByMass: true }
export const IMAGE_SIZE = 28
const BOX_SIZE = 20
const MNIST_CENTER = 14.5
const MNIST_PEN_WIDTH = 2.4
const MIN_EXTENT = 1e-6

/** @type {Placement} */
const UNPLACED = { middleX: 0, middleY: 0, scale: 1, targetX: 0, targetY: 0, shiftX: 0, shiftY: 0 }

/**
 * Rasterizes strokes on a square canvas with MNIST's preprocessing. The twin of engine/data/rasterize.py, which says
 * why each step is needed; pixels are equal to within 1/255. Everything is reused from drawing to drawing.
 */
export class CanvasRasterizer {
  #renderer = new LineRenderer(IMAGE_SIZE)
  /** @type {Placement} */
  #placement = { ...UNPLACED }
  /** @type {Bounds} */
  #bounds = { lowX: 0, lowY: 0, highX: 0, highY: 0 }

  /**
   * Render strokes as an image of 28×28 pixels, values 0 to 1; without any point all pixels are 0.
   * @param {readonly Stroke[]} strokes
   * @param {number} canvasSize side of the canvas
   * @param {number} penWidth in units of the canvas
   * @param {Preprocessing} [preprocessing]
   * @returns {Float32Array} valid until the next call
   */
  rasterize(strokes, canvasSize, penWidth, preprocessing = MNIST_PREPROCESSING) {
    const { fitBox, normalizeStrokeWidth, centerByMass } = preprocessing
    this.#computeBounds(strokes)
    const { lowX, lowY, highX, highY } = this.#bounds
    const extent = Math.max(highX - lowX, highY - lowY)
    const shrink = IMAGE_SIZE / canvasSize
    // The canvas's pen is scaled with the digit, so that the box holds all of the ink.
    const canvasWidth = fitBox ? (penWidth * BOX_SIZE) / (extent + penWidth) : penWidth * shrink
    const width = normalizeStrokeWidth ? MNIST_PEN_WIDTH : canvasWidth
    if (!(fitBox || centerByMass)) {
      Object.assign(this.#placement, { ...UNPLACED, scale: shrink })
      this.#renderer.draw(strokes, width, this.#placement)
      return this.#renderer.image
    }
    let scale = shrink
    if (fitBox) scale = extent > MIN_EXTENT ? (BOX_SIZE - width) / extent : 1
    const roomX = Math.max((IMAGE_SIZE - width - (highX - lowX) * scale) / 2, 0)
    const roomY = Math.max((IMAGE_SIZE - width - (highY - lowY) * scale) / 2, 0)
    const middleX = (lowX + highX) / 2
    const middleY = (lowY + highY) / 2
    const half = IMAGE_SIZE / 2
    if (centerByMass) {
      Object.assign(this.#placement, { ...UNPLACED, middleX, middleY, scale, targetX: half, targetY: half })
      this.#renderer.draw(strokes, width, this.#placement)
      this.#shiftMass(roomX, roomY)
    } else {
      const targetX = clip(middleX * shrink, half - roomX, half + roomX)
      const targetY = clip(middleY * shrink, half - roomY, half + roomY)
      Object.assign(this.#placement, { ...UNPLACED, middleX, middleY, scale, targetX, targetY })
    }
    this.#renderer.draw(strokes, width, this.#placement)
    return this.#renderer.image
  }

  /**
   * Compute the bounding box of all points.
   * @param {readonly Stroke[]} strokes
   * @returns {void}
   */
  #computeBounds(strokes) {
    const bounds = this.#bounds
    bounds.lowX = Number.POSITIVE_INFINITY
    bounds.lowY = Number.POSITIVE_INFINITY
    bounds.highX = Number.NEGATIVE_INFINITY
    bounds.highY = Number.NEGATIVE_INFINITY
    for (const stroke of strokes) {
      for (const [x, y] of stroke) {
        bounds.lowX = Math.min(bounds.lowX, x)
        bounds.lowY = Math.min(bounds.lowY, y)
        bounds.highX = Math.max(bounds.highX, x)
        bounds.highY = Math.max(bounds.highY, y)
      }
    }
  }

  /**
   * Shift the placement, by at most the room around the ink, so that the center of mass becomes MNIST's.
   * @param {number} roomX
   * @param {number} roomY
   * @returns {void}
   */
  #shiftMass(roomX, roomY) {
    const { image } = this.#renderer
    let total = 0
    let sumX = 0
    let sumY = 0
    for (let row = 0; row < IMAGE_SIZE; row++) {
      for (let column = 0; column < IMAGE_SIZE; column++) {
        const value = image[row * IMAGE_SIZE + column]
        total += value
        sumX += (column + 0.5) * value
        sumY += (row + 0.5) * value
      }
    }
    const mass = Math.max(total, 1e-9)
    this.#placement.shiftX = clip(MNIST_CENTER - sumX / mass, -roomX, roomX)
    this.#placement.shiftY = clip(MNIST_CENTER - sumY / mass, -roomY, roomY)
  }
}
