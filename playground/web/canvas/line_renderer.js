/** @typedef {readonly (readonly [x: number, y: number])[]} Stroke */

/**
 * @typedef {object} Placement Place of a stroke's points in an image: (point - middle) · scale + target + shift.
 * @property {number} middleX
 * @property {number} middleY
 * @property {number} scale
 * @property {number} targetX
 * @property {number} targetY
 * @property {number} shiftX
 * @property {number} shiftY
 */

const MIN_SEGMENT_LENGTH = 0.2
const MIN_SQUARED_LENGTH = 1e-12

/**
 * Limit a number to a range.
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @returns {number}
 */
export function clip(value, low, high) {
  return Math.min(Math.max(value, low), high)
}

/** Draws lines on a square image with a round pen; a pixel's value is the share of it that is covered. */
export class LineRenderer {
  /** @type {Float32Array} values 0 to 1, row by row */
  image
  /** @type {number} */
  #size
  /** @type {number} distance from a line at which the coverage becomes 0 */
  #reach = 0

  /** @param {number} size side in pixels */
  constructor(size) {
    this.#size = size
    this.image = new Float32Array(size * size)
  }

  /**
   * Draw lines on an empty image.
   * @param {readonly Stroke[]} strokes
   * @param {number} penWidth in pixels of the image
   * @param {Readonly<Placement>} placement
   * @returns {void}
   */
  draw(strokes, penWidth, placement) {
    this.image.fill(0)
    this.#reach = penWidth / 2 + 0.5
    for (const stroke of strokes) if (stroke.length > 0) this.#drawLine(stroke, placement)
  }

  /**
   * Draw a line, leaving out points within 0.2 pixels of the last kept one.
   * @param {Stroke} stroke
   * @param {Readonly<Placement>} placement
   * @returns {void}
   */
  #drawLine(stroke, { middleX, middleY, scale, targetX, targetY, shiftX, shiftY }) {
    let [keptX, keptY] = stroke[0]
    let startX = (keptX - middleX) * scale + targetX + shiftX
    let startY = (keptY - middleY) * scale + targetY + shiftY
    if (stroke.length === 1) this.#drawSegment(startX, startY, startX, startY)
    for (let index = 1; index < stroke.length; index++) {
      const [x, y] = stroke[index]
      const distance = Math.max(Math.abs(x - keptX), Math.abs(y - keptY)) * scale
      if (distance >= MIN_SEGMENT_LENGTH || index === stroke.length - 1) {
        const endX = (x - middleX) * scale + targetX + shiftX
        const endY = (y - middleY) * scale + targetY + shiftY
        this.#drawSegment(startX, startY, endX, endY)
        startX = endX
        startY = endY
        keptX = x
        keptY = y
      }
    }
  }

  /**
   * Draw a segment; only pixels that the pen can reach are visited.
   * @param {number} startX
   * @param {number} startY
   * @param {number} endX
   * @param {number} endY
   * @returns {void}
   */
  #drawSegment(startX, startY, endX, endY) {
    const alongX = endX - startX
    const alongY = endY - startY
    const squaredLength = Math.max(alongX * alongX + alongY * alongY, MIN_SQUARED_LENGTH)
    const last = this.#size - 1
    const left = clip(Math.floor(Math.min(startX, endX) - this.#reach), 0, last)
    const right = clip(Math.floor(Math.max(startX, endX) + this.#reach), 0, last)
    const top = clip(Math.floor(Math.min(startY, endY) - this.#reach), 0, last)
    const bottom = clip(Math.floor(Math.max(startY, endY) + this.#reach), 0, last)
    const squaredReach = this.#reach * this.#reach
    for (let row = top; row <= bottom; row++) {
      const y = row + 0.5 - startY
      for (let column = left; column <= right; column++) {
        const x = column + 0.5 - startX
        const share = clip((x * alongX + y * alongY) / squaredLength, 0, 1)
        const awayX = x - share * alongX
        const awayY = y - share * alongY
        const squaredDistance = awayX * awayX + awayY * awayY
        if (squaredDistance < squaredReach) {
          const index = row * this.#size + column
          // Math.hypot takes several times as long, which shows with many strokes.
          const coverage = Math.min(this.#reach - Math.sqrt(squaredDistance), 1)
          if (coverage > this.image[index]) this.image[index] = coverage
        }
      }
    }
  }
}
