import { PencilStroke } from "../../../web/canvas/pencil_stroke.js"
import { findTopTwo, formatPercent } from "../../../web/views/prediction_text.js"
import { LiveInput } from "./live_input.js"
import { getLiveStore, readFailureEvent, readResultEvent } from "./live_store.js"
import {
  DRAWING_REMARK,
  describeLimits,
  removeStepImages,
  showBars,
  showPrediction,
  showStepImage,
} from "./live_view.js"

/** @import { Stroke } from "../../../web/canvas/line_renderer.js" */
/** @import { Preprocessing } from "../../../web/canvas/rasterize.js" */
/** @import { EngineResult } from "../../../web/engine/engine_client.js" */
/** @import { MapColors } from "../../../web/views/feature_maps.js" */
/** @import { Overlay } from "./live_input.js" */
/** @import { LiveLayer, LiveNetwork, LiveProblem } from "./live_store.js" */
/** @import { Remark } from "./live_view.js" */

/**
 * @typedef {object} CanvasState The canvas as the server knows it.
 * @property {string} name of the component; another name is another canvas
 * @property {number} size side in pixels
 * @property {number} penWidth
 * @property {number} objectCount number of objects on the canvas, of which each stroke is one
 * @property {number} maxObjects number of objects that the server reads
 * @property {Stroke[]} strokes
 * @property {boolean} canFollow false while the eraser is chosen, or an image lies under strokes that are preprocessed
 */

/**
 * @typedef {object} Answer The server's answer to the model input.
 * @property {string} runId
 * @property {string} runName empty for the pretrained model
 * @property {number} step
 * @property {ArrayLike<number>} probabilities
 */

/**
 * @typedef {object} LiveDrawingData
 * @property {CanvasState} canvas
 * @property {Preprocessing} preprocessing
 * @property {Overlay | null} overlay image under the strokes, for networks whose images are not drawings
 * @property {number[]} inputShape of the networks
 * @property {string[]} classNames
 * @property {string[]} layerIds of the first network's architecture
 * @property {Answer[]} answers one for every network on the page, in the order of the bars
 * @property {boolean} isDrawn the model input is computed from the strokes
 * @property {Float32Array} modelInput input that the server has answered
 * @property {Remark} remark on that input
 * @property {MapColors} colors
 * @property {{ maxMaps: number, size: number, gap: number }} layout of the feature maps
 */

/**
 * @typedef {object} Comparison An answer of the server that the browser computes too.
 * @property {Answer} answer
 * @property {string} key of the drawing and the step
 * @property {Float32Array} input
 */

const MAX_DIFFERENCE = 1e-3
/** After this time a stroke that the server has not reported does not exist: the canvas drops strokes without extent. */
const MAX_WAIT_MS = 5000
const UPPER_CANVAS = "upper-canvas"
const PLACE = "st-key-canvas"

/** Follows the pen on the canvas, and compares the final answers with the server's. */
export class LiveDrawing {
  #store = getLiveStore()
  /** @type {LiveDrawingData | null} */
  #data = null
  /** @type {LiveInput | null} */
  #input = null
  /** @type {HTMLCanvasElement | null} */
  #canvas = null
  /** @type {PencilStroke | null} the stroke while the pen is down */
  #stroke = null
  /** @type {{ index: number, stroke: Stroke, endedAt: number }[]} finished strokes that the server does not know yet */
  #pending = []
  #nextIndex = 0
  /** @type {(problem: LiveProblem) => void} */
  #report = () => undefined
  /** @type {Map<string, Comparison>} by run id */
  #compared = new Map()
  #listening = new AbortController()
  #notice

  /** @param {HTMLElement} notice shows what is missing */
  constructor(notice) {
    this.#notice = notice
    const { signal } = this.#listening
    // In the capturing phase: the canvas stops the propagation of its events.
    const options = { capture: true, passive: true, signal }
    for (const name of ["mousedown", "touchstart"])
      document.addEventListener(name, (event) => this.#lower(event), options)
    for (const name of ["mousemove", "touchmove"])
      document.addEventListener(name, (event) => this.#move(event), options)
    for (const name of ["mouseup", "touchend", "touchcancel"]) {
      document.addEventListener(name, (event) => this.#lift(event), options)
    }
    this.#store.addEventListener("failure", (event) => this.#fail(readFailureEvent(event)), { signal })
    this.#store.addEventListener("load", () => this.#useNewWeights(), { signal })
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
    this.#input = new LiveInput({ ...data, ...data.canvas })
    this.#data = data
    this.#report = report
    this.#showNotice()
    if (this.#stroke !== null || this.#pending.length > 0) {
      this.#follow() // over the answer to older strokes, which the server has just rendered
      return
    }
    if (this.#store.isDrawing) {
      this.#store.isDrawing = false
      removeStepImages()
    }
    // What newer weights have answered stays until the server has answered by them.
    if (!this.#data.answers.some((answer) => this.#isAhead(answer))) this.#store.announce("end")
    this.#answer()
  }

  /** Answer the drawing, or what else the model input is, by weights that have just been loaded. */
  #useNewWeights() {
    this.#showNotice()
    if (this.#store.isDrawing) this.#follow()
    else this.#answer()
  }

  /**
   * Return true if the browser has newer weights than those of the server's answer.
   * @param {Answer} answer
   * @returns {boolean}
   */
  #isAhead({ runId, step }) {
    return (this.#store.networks.get(runId)?.step ?? -1) > step
  }

  /**
   * Report a failure of an engine, and say so on the page.
   * @param {LiveProblem} problem
   * @returns {void}
   */
  #fail(problem) {
    this.#showNotice()
    this.#report(problem)
  }

  /** Say on the page what is missing for live drawing. */
  #showNotice() {
    const text = describeLimits(this.#getFirstNetwork())
    if (this.#notice.textContent !== text) this.#notice.textContent = text
    this.#notice.hidden = text === ""
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
    const { size, penWidth, maxObjects } = this.#data.canvas
    if (this.#nextIndex >= maxObjects) return
    this.#canvas = target
    this.#stroke = new PencilStroke(...this.#locate(event), size, penWidth)
    this.#compared.clear()
    this.#store.isDrawing = true
    this.#follow()
  }

  /**
   * Extend the stroke.
   * @param {Event} event
   * @returns {void}
   */
  #move(event) {
    if (this.#stroke?.addPoint(...this.#locate(event))) this.#follow()
  }

  /**
   * End the stroke; its answer stays until the server's arrives.
   * @param {Event} event
   * @returns {void}
   */
  #lift(event) {
    const isTouched = "touches" in event && /** @type {TouchEvent} */ (event).touches.length > 0
    if (this.#stroke === null || isTouched) return // the canvas goes on until the last finger is lifted
    this.#pending.push({ index: this.#nextIndex, stroke: this.#stroke.toStroke(), endedAt: performance.now() })
    this.#nextIndex += 1
    this.#stroke = null
    this.#follow()
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
   * Return the first network of the page, whose layers the feature strip shows.
   * @returns {LiveNetwork | undefined}
   */
  #getFirstNetwork() {
    return this.#store.networks.get(this.#data?.answers[0]?.runId ?? "")
  }

  /**
   * Return true if the first network of the page is loaded.
   * @returns {boolean}
   */
  #isReady() {
    return (this.#getFirstNetwork()?.step ?? null) !== null
  }

  /**
   * Show the steps from all strokes to the model input, and let the networks of the page compute it.
   * @returns {void}
   */
  #follow() {
    const { canvas, answers } = /** @type {LiveDrawingData} */ (this.#data)
    const strokes = [...canvas.strokes, ...this.#pending.map(({ stroke }) => stroke)]
    if (this.#stroke !== null) strokes.push(this.#stroke.toStroke())
    const input = /** @type {LiveInput} */ (this.#input).compute(strokes, showStepImage)
    for (const { runId } of answers) {
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
    const column = data?.answers.findIndex((candidate) => candidate.runId === runId) ?? -1
    if (data === null || column < 0) return
    const answer = data.answers[column]
    const { isDrawing, networks } = this.#store
    if (!(isDrawing || this.#isAhead(answer))) {
      this.#compareAnswer(runId, result)
      return
    }
    const title = this.#isAhead(answer)
      ? `${answer.runName}, step ${networks.get(runId)?.step?.toLocaleString("en")}`
      : ""
    showBars(column, result.probabilities, data.classNames, title)
    if (column === 0) {
      showPrediction(result.probabilities, data.classNames, isDrawing ? DRAWING_REMARK : data.remark)
      this.#announceLayers(runId, result, data)
    }
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
   * Compute the model input by newer weights than the server's, or to compare with its answer, which happens once for
   * each input, network and step.
   * @returns {void}
   */
  #answer() {
    if (this.#data === null) return
    const { canvas, preprocessing, answers, isDrawn, modelInput } = this.#data
    const isComputed = isDrawn && canvas.canFollow
    const shown = `${canvas.name}/${canvas.objectCount}/${isDrawn}/${JSON.stringify(preprocessing)}`
    for (const answer of answers) {
      const { runId, step } = answer
      const network = this.#store.networks.get(runId)
      const key = `${shown}/${step}`
      const isCompared = network?.step === step && this.#compared.get(runId)?.key !== key
      if (network && (isCompared || this.#isAhead(answer))) {
        const input = isComputed ? /** @type {LiveInput} */ (this.#input).compute(canvas.strokes).slice() : modelInput
        if (isCompared) this.#compared.set(runId, { answer, key, input })
        network.client.run(input)
      }
    }
  }

  /**
   * Report an answer that is not the server's.
   * @param {string} runId
   * @param {EngineResult} result
   * @returns {void}
   */
  #compareAnswer(runId, result) {
    const { answer, input } = this.#compared.get(runId) ?? {}
    if (!(answer && input) || this.#store.networks.get(runId)?.step !== answer.step) return
    if (!input.every((value, index) => value === result.image[index])) return
    let difference = 0
    for (const [index, other] of result.probabilities.entries()) {
      const probability = answer.probabilities[index]
      if (!Object.is(probability, other)) difference = Math.max(difference, Math.abs(probability - other))
    }
    if (Number.isNaN(difference) || difference > MAX_DIFFERENCE) {
      const message = `The browser's answer differs from the server's by ${difference.toPrecision(2)} at step ${answer.step}.`
      this.#report({ runId, message })
    }
  }
}
