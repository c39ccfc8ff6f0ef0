import { paintImage } from "../views/feature_maps.js"

/** @import { Stroke } from "../canvas/line_renderer.js" */

/** Side of the pad in the units of its strokes. */
export const PAD_SIZE = 280
export const PEN_WIDTH = 20
const PIXELS_PER_UNIT = 2
const INK = "#fff"
const PAPER = "#000"

/** Square canvas that is drawn on by mouse, touch or pen, over an image if there is one. */
export class DrawingPad {
  /** @type {[x: number, y: number][][]} */
  #strokes = []
  /** @type {{ values: Float32Array, shape: readonly number[] } | null} */
  #image = null
  #canvas
  #context
  /** @type {number | null} the pointer that draws */
  #pointerId = null
  #picture = document.createElement("canvas")
  #handlers

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{ onBegin: () => void, onChange: () => void, onEnd: () => void }} handlers of strokes: before one begins, at
   *   every new point, and at the end
   */
  constructor(canvas, handlers) {
    this.#canvas = canvas
    this.#handlers = handlers
    canvas.width = PAD_SIZE * PIXELS_PER_UNIT
    canvas.height = PAD_SIZE * PIXELS_PER_UNIT
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"))
    canvas.addEventListener("pointerdown", (event) => this.#lower(event))
    canvas.addEventListener("pointermove", (event) => this.#move(event))
    canvas.addEventListener("pointerup", (event) => this.#lift(event))
    canvas.addEventListener("pointercancel", (event) => this.#lift(event))
    this.paint()
  }

  /** @returns {readonly Stroke[]} */
  get strokes() {
    return this.#strokes
  }

  /**
   * Remove the strokes, and show an image or black paper.
   * @param {{ values: Float32Array, shape: readonly number[] } | null} image values 0 to 1
   * @returns {void}
   */
  reset(image) {
    this.#strokes = []
    this.#image = image
    this.paint()
  }

  /** Remove the last stroke. */
  undo() {
    this.#strokes.pop()
    this.paint()
  }

  /** Paint the image and all strokes. */
  paint() {
    const context = this.#context
    const side = this.#canvas.width
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.fillStyle = PAPER
    context.fillRect(0, 0, side, side)
    if (this.#image !== null) {
      const { values, shape } = this.#image
      paintImage(this.#picture, values, shape, 1)
      const scale = side / Math.max(this.#picture.width, this.#picture.height)
      context.imageSmoothingEnabled = false
      context.drawImage(this.#picture, 0, 0, this.#picture.width * scale, this.#picture.height * scale)
    }
    context.scale(PIXELS_PER_UNIT, PIXELS_PER_UNIT)
    context.strokeStyle = INK
    context.lineWidth = PEN_WIDTH
    context.lineCap = "round"
    context.lineJoin = "round"
    for (const stroke of this.#strokes) this.#paintLine(stroke)
  }

  /**
   * Paint a line; a single point becomes a dot.
   * @param {Stroke} points
   * @returns {void}
   */
  #paintLine(points) {
    const context = this.#context
    context.beginPath()
    context.moveTo(...points[0])
    for (const point of points) context.lineTo(...point)
    context.stroke()
  }

  /**
   * Begin a stroke.
   * @param {PointerEvent} event
   * @returns {void}
   */
  #lower(event) {
    if (this.#pointerId !== null || event.button !== 0) return
    event.preventDefault()
    this.#canvas.setPointerCapture(event.pointerId)
    this.#handlers.onBegin()
    this.#pointerId = event.pointerId
    const stroke = [this.#locate(event)]
    this.#strokes.push(stroke)
    this.#paintLine(stroke)
    this.#handlers.onChange()
  }

  /**
   * Extend the stroke by all positions since the last event.
   * @param {PointerEvent} event
   * @returns {void}
   */
  #move(event) {
    const stroke = this.#strokes.at(-1)
    if (stroke === undefined || event.pointerId !== this.#pointerId) return
    const firstNew = stroke.length
    const coalesced = event.getCoalescedEvents?.() ?? []
    for (const moved of coalesced.length > 0 ? coalesced : [event]) stroke.push(this.#locate(moved))
    this.#paintLine(stroke.slice(firstNew - 1))
    this.#handlers.onChange()
  }

  /**
   * End the stroke.
   * @param {PointerEvent} event
   * @returns {void}
   */
  #lift({ pointerId }) {
    if (pointerId !== this.#pointerId) return
    this.#pointerId = null
    this.#handlers.onEnd()
  }

  /**
   * Convert the position of an event to the pad's units.
   * @param {PointerEvent} event
   * @returns {[x: number, y: number]}
   */
  #locate({ clientX, clientY }) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect()
    return [((clientX - left) * PAD_SIZE) / width, ((clientY - top) * PAD_SIZE) / height]
  }
}
