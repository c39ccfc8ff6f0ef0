/** @import { Stroke } from "./line_renderer.js" */

/** @typedef {[x: number, y: number]} Point */

const MIN_POINT_DISTANCE = 0.4
/** Fabric lengthens paths by the pen's width over this number, so that a click is a line. */
const CORRECTION_SHARE = 1000
const SAMPLE_STEP_PX = 4
const MAX_SAMPLES = 64
const MAX_DOT_EXTENT = 0.25
const DECIMALS = 100

/**
 * Collects the points of one stroke on the canvas. The result is the stroke that the server reads from the canvas: Fabric's
 * PencilBrush makes a smooth path of the points, and `parse_fabric_json` in ui/canvas.py samples that path.
 */
export class PencilStroke {
  /** @type {Point[]} */
  #points
  /** @type {number} */
  #canvasSize
  /** @type {number} */
  #penWidth

  /**
   * @param {number} x in canvas pixels
   * @param {number} y
   * @param {number} canvasSize side of the canvas
   * @param {number} penWidth in canvas pixels
   */
  constructor(x, y, canvasSize, penWidth) {
    // Fabric counts the first point twice.
    this.#points = [
      [x, y],
      [x, y],
    ]
    this.#canvasSize = canvasSize
    this.#penWidth = penWidth
  }

  /**
   * Add a point unless it repeats the last one.
   * @param {number} x
   * @param {number} y
   * @returns {boolean} true if the stroke has changed
   */
  addPoint(x, y) {
    const [lastX, lastY] = /** @type {Point} */ (this.#points.at(-1))
    if (x === lastX && y === lastY) return false
    this.#points.push([x, y])
    return true
  }

  /**
   * Return the stroke as the server will read it if the pen is lifted now.
   * @returns {Stroke}
   */
  toStroke() {
    const points = decimate(this.#points)
    return cleanPoints(samplePath(points, this.#penWidth / CORRECTION_SHARE), this.#canvasSize, this.#penWidth)
  }
}

/**
 * Drop points close to the last kept one, as Fabric's `decimatePoints` does.
 * @param {readonly Point[]} points
 * @returns {readonly Point[]}
 */
function decimate(points) {
  if (points.length <= 2) return points
  let [kept] = points
  const result = [kept]
  for (let index = 1; index < points.length - 2; index++) {
    const [x, y] = points[index]
    if ((kept[0] - x) ** 2 + (kept[1] - y) ** 2 >= MIN_POINT_DISTANCE ** 2) {
      kept = points[index]
      result.push(kept)
    }
  }
  result.push(/** @type {Point} */ (points.at(-1)))
  return result
}

/**
 * Sample the path that Fabric's `getSmoothPathFromPoints` makes: quadratic curves from the middle of one segment to the
 * middle of the next.
 * @param {readonly Point[]} points
 * @param {number} correction by which the ends of the path are longer than the points
 * @returns {Point[]}
 */
function samplePath(points, correction) {
  const hasMany = points.length > 2
  const [startX, startY] = hasMany
    ? [Math.sign(points[2][0] - points[1][0]), Math.sign(points[2][1] - points[1][1])]
    : [1, 0]
  /** @type {Point} */
  let end = [points[0][0] - startX * correction, points[0][1] - startY * correction]
  const samples = [end]
  let [control, next] = points
  for (let index = 1; index < points.length; index++) {
    if (control[0] !== next[0] || control[1] !== next[1]) {
      /** @type {Point} */
      const middle = [(control[0] + next[0]) / 2, (control[1] + next[1]) / 2]
      sampleQuadratic(end, control, middle, samples)
      end = middle
    }
    control = points[index]
    next = points[index + 1] ?? next
  }
  const before = /** @type {Point} */ (points.at(-2))
  const [endX, endY] = hasMany ? [Math.sign(control[0] - before[0]), Math.sign(control[1] - before[1])] : [1, 0]
  samples.push([control[0] + endX * correction, control[1] + endY * correction])
  return samples
}

/**
 * Append points of a quadratic curve about every four pixels, as `_sample_bezier` in ui/canvas.py does.
 * @param {Point} start not appended
 * @param {Point} control
 * @param {Point} end
 * @param {Point[]} samples
 * @returns {void}
 */
function sampleQuadratic(start, control, end, samples) {
  const first = [start[0] + ((control[0] - start[0]) * 2) / 3, start[1] + ((control[1] - start[1]) * 2) / 3]
  const second = [end[0] + ((control[0] - end[0]) * 2) / 3, end[1] + ((control[1] - end[1]) * 2) / 3]
  const length =
    Math.hypot(first[0] - start[0], first[1] - start[1]) +
    Math.hypot(second[0] - first[0], second[1] - first[1]) +
    Math.hypot(end[0] - second[0], end[1] - second[1])
  const count = Math.min(Math.max(Math.ceil(length / SAMPLE_STEP_PX), 1), MAX_SAMPLES)
  for (let step = 1; step <= count; step++) {
    const t = step / count
    const rest = 1 - t
    const weights = [rest ** 3, 3 * t * rest * rest, 3 * t * t * rest, t ** 3]
    samples.push([
      weights[0] * start[0] + weights[1] * first[0] + weights[2] * second[0] + weights[3] * end[0],
      weights[0] * start[1] + weights[1] * first[1] + weights[2] * second[1] + weights[3] * end[1],
    ])
  }
}

/**
 * Clip and round the points, drop repetitions, and make a stroke without extent a dot, as `_clean_stroke` does.
 * @param {readonly Point[]} points
 * @param {number} canvasSize
 * @param {number} penWidth
 * @returns {Stroke}
 */
function cleanPoints(points, canvasSize, penWidth) {
  const low = -penWidth / 2
  const high = canvasSize + penWidth / 2
  const round = (/** @type {number} */ value) => Math.round(Math.min(Math.max(value, low), high) * DECIMALS) / DECIMALS
  const rounded = points.map(([x, y]) => /** @type {Point} */ ([round(x), round(y)]))
  const xs = rounded.map(([x]) => x)
  const ys = rounded.map(([, y]) => y)
  const bounds = { lowX: Math.min(...xs), highX: Math.max(...xs), lowY: Math.min(...ys), highY: Math.max(...ys) }
  if (Math.max(bounds.highX - bounds.lowX, bounds.highY - bounds.lowY) <= MAX_DOT_EXTENT) {
    return [[round((bounds.lowX + bounds.highX) / 2), round((bounds.lowY + bounds.highY) / 2)]]
  }
  return rounded.filter(([x, y], index) => index === 0 || x !== rounded[index - 1][0] || y !== rounded[index - 1][1])
}
