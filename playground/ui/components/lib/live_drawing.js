import { PencilStroke } from "../../../web/canvas/pencil_stroke.js"
import { CanvasRasterizer, IMAGE_SIZE } from "../../../web/canvas/rasterize.js"
import { ImageResizer } from "../../../web/canvas/resize.js"
import { findTopTwo, formatPercent } from "../../../web/views/prediction_text.js"
import { getLiveStore, readResultEvent } from "./live_store.js"
import { removeStepImages, showBars, showPrediction, showStepImage } from "./live_view.js"

/** @import { Stroke } from "../../../web/canvas/line_renderer.js" */
/** @import { Preprocessing } from "../../../web/canvas/rasterize.js" */
/** @import { EngineResult } from "../../../web/engine/engine_client.js" */
/** @import { MapColors } from "../../../web/views/feature_maps.js" */
/** @import { LiveLayer, LiveProblem } from "./live_store.js" */

/**
 * @typedef {object} CanvasState The canvas as the server knows it.
 * @property {string} name of the component; another name is another canvas
 * @property {number} size side in pixels
 * @property {number} penWidth
 * @property {number} objectCount number of objects on the canvas, of which each stroke is one
 * @property {Stroke[]} strokes
 * @property {boolean} canFollow false while the eraser is chosen or an image lies under the strokes
 */

/**
 * @typedef {object} Answer The server's answer to the drawing.
 * @property {string} runId
 * @property {number} step
 * @property {number[]} probabilities
 */

/**
 * @typedef {object} LiveDrawingData
 * @property {CanvasState} canvas
 * @property {Preprocessing} preprocessing
 * @property {number[]} inputShape of the networks
 * @property {string[]} classNames
 * @property {string[]} layerIds of the first network's architecture
 * @property {Answer[]} answers one for every network on the page, in the order of the bars
 * @property {boolean} isDrawn the answers are for the strokes, not for an example
 * @property {MapColors} colors
 * @property {{ maxMaps: number, size: number, gap: number }} layout of the feature maps
 */

const MAX_DIFFERENCE = 1e-3
/** After this time a stroke that the server has not reported does not exist: the canvas drops strokes without extent. */
const MAX_WAIT_MS = 5000
const UPPER_CANVAS = "upper-canvas"
const PLACE = "st-key-canvas"
/** @type {Preprocessing} */
const RESIZE_ONLY = { fitBox: false, normalizeStrokeWidth: false, centerByMass: false }

/** Follows the pen on the canvas, and compares the final answers with the server's. */
export class LiveDrawing {
  #store = getLiveStore()
  #rasterizer = new CanvasRasterizer()
  /** @type {LiveDrawingData | null} */
  #data = null
  /** @type {ImageResizer | null} */
  #resizer = null
  /** @type {HTMLCanvasElement | null} */
  #canvas = null
  /** @type {PencilStroke | null} the stroke while the pen is down */
  #stroke = null
  /** @type {{ index: number, stroke: Stroke, endedAt: number }[]} finished strokes that the server does not know yet */
  #pending = []
  #nextIndex = 0
  /** @type {(problem: LiveProblem) => void} */
  #report = () => undefined
  /** @type {Answer[]} answers that the next results are compared with */
  #expected = []
  #comparedKey = ""
  #listening = new AbortController()

  constructor() {
    const { signal } = this.#listening
    // In the capturing phase: the canvas stops the propagation of its events.
    const options = { capture: true, passive: true, signal }
    for (const name of ["mousedown", "touchstart"])
      document.addEventListener(name, (event) => this.#lower(event), options)
    for (const name of ["mousemove", "touchmove"])
      document.addEventListener(name, (event) => this.#move(event), options)
    for (const name of ["mouseup", "touchend", "touchcancel"]) {
      document.addEventListener(name, () => this.#lift(), options)
    }
    this.#store.addEventListener(
      "failure",
      (event) => this.#report(/** @type {CustomEvent<LiveProblem>} */ (event).detail),
      { signal },
    )
    this.#store.addEventListener("result", (event) => this.#show(readResultEvent(event)), { signal })
  }

  /**
   * Take over what the server knows after a run of the script.
   * @param {LiveDrawingData} data
   * @param {(problem: LiveProblem) => void} report
   * @returns {void}
   */
  update(data, report) {
    const { name, objectCount } = data.canvas
    if (this.#data?.canvas.name !== name) {
      this.#pending = []
      this.#stroke = null
      this.#nextIndex = objectCount
    }
    this.#pending = this.#pending.filter(
      ({ index, endedAt }) => index >= objectCount && performance.now() - endedAt < MAX_WAIT_MS,
    )
    this.#nextIndex = Math.max(this.#nextIndex, objectCount)
    this.#resizer = new ImageResizer([1, IMAGE_SIZE, IMAGE_SIZE], data.inputShape)
    this.#data = data
    this.#report = report
    if (this.#stroke !== null || this.#pending.length > 0) return
    if (this.#store.isDrawing) {
      this.#store.isDrawing = false
      removeStepImages()
      this.#store.announce("end")
    }
    this.#compare()
  }

  /** Stop listening. */
  dispose() {
    this.#listening.abort()
    this.#store.isDrawing = false
  }

  /**
   * Begin a stroke if the pen is lowered on the canvas and the networks can follow.
   * @param {Event} event
   * @returns {void}
   */
  #lower(event) {
    const path = event.composedPath()
    const [target] = path
    if (!(this.#data?.canvas.canFollow && target instanceof HTMLCanvasElement)) return
    const isOurs = path.some((node) => node instanceof Element && node.classList.contains(PLACE))
    if (!(isOurs && target.classList.contains(UPPER_CANVAS)) || (event instanceof MouseEvent && event.button !== 0))
      return
    if (this.#stroke !== null || !this.#isReady()) return
    this.#canvas = target
    const { size, penWidth } = this.#data.canvas
    this.#stroke = new PencilStroke(...this.#locate(event), size, penWidth)
    this.#expected = []
    this.#store.isDrawing = true
    this.#follow(event.timeStamp)
  }

  /**
   * Extend the stroke.
   * @param {Event} event
   * @returns {void}
   */
  #move(event) {
    if (this.#stroke?.addPoint(...this.#locate(event))) this.#follow(event.timeStamp)
  }

  /**
   * End the stroke; its answer stays until the server's arrives.
   * @returns {void}
   */
  #lift() {
    if (this.#stroke === null) return
    this.#pending.push({ index: this.#nextIndex, stroke: this.#stroke.toStroke(), endedAt: performance.now() })
    this.#nextIndex += 1
    this.#stroke = null
    this.#follow(performance.now())
  }

  /**
   * Convert an event's position to canvas pixels, as the canvas itself does.
   * @param {Event} event
   * @returns {[x: number, y: number]}
   */
  #locate(event) {
    const canvas = /** @type {HTMLCanvasElement} */ (this.#canvas)
    const touches = "changedTouches" in event ? /** @type {TouchEvent} */ (event).changedTouches : []
    const { clientX, clientY } = touches[0] ?? /** @type {MouseEvent} */ (event)
    const { left, top, width, height } = canvas.getBoundingClientRect()
    return [((clientX - left) * canvas.width) / width, ((clientY - top) * canvas.height) / height]
  }

  /**
   * Return true if the first network of the page is loaded.
   * @returns {boolean}
   */
  #isReady() {
    const network = this.#store.networks.get(this.#data?.answers[0]?.runId ?? "")
    return network !== undefined && network.step !== null
  }

  /**
   * Rasterize all strokes, show the steps, and let the networks compute.
   * @param {number} eventTime time stamp of the event that is followed
   * @returns {void}
   */
  #follow(eventTime) {
    const data = /** @type {LiveDrawingData} */ (this.#data)
    performance.mark("live-drawing-move", { startTime: eventTime })
    const strokes = [...data.canvas.strokes, ...this.#pending.map(({ stroke }) => stroke)]
    if (this.#stroke !== null) strokes.push(this.#stroke.toStroke())
    showStepImage(0, this.#rasterize(strokes, RESIZE_ONLY))
    showStepImage(1, this.#rasterize(strokes, { ...data.preprocessing, centerByMass: false }))
    const image = this.#rasterize(strokes, data.preprocessing)
    showStepImage(2, image)
    this.#compute(image)
    performance.mark("live-drawing-sent")
  }

  /**
   * Rasterize strokes.
   * @param {readonly Stroke[]} strokes
   * @param {Preprocessing} preprocessing
   * @returns {Float32Array} valid until the next call
   */
  #rasterize(strokes, preprocessing) {
    const { size, penWidth } = /** @type {LiveDrawingData} */ (this.#data).canvas
    return this.#rasterizer.rasterize(strokes, size, penWidth, preprocessing)
  }

  /**
   * Let all networks of the page compute an image.
   * @param {Float32Array} image (28, 28)
   * @returns {void}
   */
  #compute(image) {
    const input = /** @type {ImageResizer} */ (this.#resizer).resize(image)
    for (const { runId } of this.#data?.answers ?? []) {
      const network = this.#store.networks.get(runId)
      if (network && network.step !== null) network.client.run(input)
    }
  }

  /**
   * Show the result of a network, or compare it with the server's.
   * @param {{ runId: string, result: EngineResult }} event
   * @returns {void}
   */
  #show({ runId, result }) {
    const data = this.#data
    const column = data?.answers.findIndex((answer) => answer.runId === runId) ?? -1
    if (data === null || column < 0) return
    if (!this.#store.isDrawing) {
      this.#compareAnswer(runId, result)
      return
    }
    performance.mark("live-drawing-result", { detail: { elapsedMs: result.elapsedMs } })
    showBars(column, result.probabilities, data.classNames, result.probabilities)
    if (column === 0) {
      showPrediction(result.probabilities, data.classNames)
      this.#announceLayers(runId, result, data)
    }
    performance.mark("live-drawing-shown")
  }

  /**
   * Announce the values of all layers, for the feature strip.
   * @param {string} runId
   * @param {EngineResult} result
   * @param {LiveDrawingData} data
   * @returns {void}
   */
  #announceLayers(runId, { values, image, probabilities }, { classNames, colors, layout, inputShape, layerIds }) {
    const description = this.#store.networks.get(runId)?.client.description
    if (!description) return
    /** @type {Map<string, LiveLayer>} */
    const layers = new Map([["input", { values: image, shape: inputShape }]])
    for (const { index, outputOffset, outputShape } of description.layers) {
      const count = outputShape.reduce((product, side) => product * side, 1)
      layers.set(layerIds[index], { values: values.subarray(outputOffset, outputOffset + count), shape: outputShape })
    }
    const [top] = findTopTwo(probabilities)
    const prediction = { className: classNames[top], probability: formatPercent(probabilities[top]) }
    this.#store.announce("layers", { layers, colors, layout, prediction })
  }

  /**
   * Compute the drawing that the server has answered, once for each drawing and step.
   * @returns {void}
   */
  #compare() {
    const data = /** @type {LiveDrawingData} */ (this.#data)
    const steps = data.answers.map(({ runId, step }) => `${runId}@${step}`).join()
    const key = `${data.canvas.name}/${data.canvas.objectCount}/${JSON.stringify(data.preprocessing)}/${steps}`
    if (!(data.isDrawn && data.canvas.canFollow && this.#isReady()) || key === this.#comparedKey) return
    this.#comparedKey = key
    this.#expected = data.answers
    this.#compute(this.#rasterize(data.canvas.strokes, data.preprocessing))
  }

  /**
   * Report an answer that is not the server's.
   * @param {string} runId
   * @param {EngineResult} result
   * @returns {void}
   */
  #compareAnswer(runId, result) {
    const answer = this.#expected.find((candidate) => candidate.runId === runId)
    if (answer === undefined || this.#store.networks.get(runId)?.step !== answer.step) return
    let difference = 0
    answer.probabilities.forEach((probability, index) => {
      difference = Math.max(difference, Math.abs(probability - result.probabilities[index]))
    })
    if (difference > MAX_DIFFERENCE) {
      const message = `The browser's answer differs from the server's by ${difference.toPrecision(2)} at step ${answer.step}.`
      this.#report({ runId, message })
    }
  }
}
