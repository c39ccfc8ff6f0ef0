import { paintImage } from "../../../web/views/feature_maps.js"
import { describePrediction, findTopTwo, formatPercent, selectClasses } from "../../../web/views/prediction_text.js"

/** @import { LiveNetwork } from "./live_store.js" */

/**
 * Show an image over an <img>, until the server replaces it.
 * @param {HTMLImageElement} image
 * @param {Float32Array} values 0 to 1
 * @param {readonly number[]} shape (channels, height, width)
 * @returns {void}
 */
function paintOver(image, values, shape) {
  let canvas = /** @type {HTMLCanvasElement | null} */ (image.parentElement?.querySelector("canvas") ?? null)
  if (canvas === null) {
    canvas = document.createElement("canvas")
    canvas.style.width = `${image.width}px`
    canvas.style.height = `${image.height}px`
    canvas.style.boxSizing = "content-box"
    canvas.ariaHidden = "true"
    image.hidden = true
    image.after(canvas)
  }
  paintImage(canvas, values, shape, 1)
}

/**
 * Find the images of the preprocessing steps, in their order: canvas, fitted, model input.
 * @returns {NodeListOf<HTMLImageElement>}
 */
function findStepImages() {
  return document.querySelectorAll(".st-key-seen .pg-pictures img")
}

/**
 * Show an image of a preprocessing step.
 * @param {number} step index
 * @param {Float32Array} values 0 to 1
 * @param {readonly number[]} shape (channels, height, width)
 * @returns {void}
 */
export function showStepImage(step, values, shape) {
  const image = findStepImages()[step]
  if (image) paintOver(image, values, shape)
}

/**
 * Remove everything that was painted over the server's images.
 * @returns {void}
 */
export function removeStepImages() {
  for (const image of findStepImages()) {
    image.hidden = false
    image.parentElement?.querySelector("canvas")?.remove()
  }
}

/**
 * Describe what the browser lacks for live drawing; empty if nothing is missing.
 * @param {LiveNetwork | undefined} network
 * @returns {string}
 */
export function describeLimits(network) {
  if (network === undefined) return ""
  const { failure, step, client } = network
  if (failure) return `The prediction follows when the pen is lifted: the browser engine failed. ${failure}`
  if (step === null) return ""
  const limits = []
  if (client.mode === "page") limits.push("no worker can run beside the page")
  if (!client.description?.hasWebAssembly) limits.push("WebAssembly is not available")
  return limits.length > 0 ? `Live drawing is slower in this browser: ${limits.join(", and ")}.` : ""
}

/**
 * @typedef {object} Remark Facts that the remark adds to the prediction; see ui/remark.py.
 * @property {string[]} doubts
 * @property {string} source
 * @property {string | null} exampleHint
 */

/** @type {Remark} */
export const DRAWING_REMARK = { doubts: [], source: "", exampleHint: null }

/**
 * Describe a prediction as `PredictionRemark.describe` does.
 * @param {Remark} remark
 * @param {ArrayLike<number>} probabilities
 * @param {readonly string[]} classNames
 * @returns {string}
 */
export function describeRemark({ doubts, source, exampleHint }, probabilities, classNames) {
  if (exampleHint !== null) {
    const [top] = findTopTwo(probabilities)
    return `Example: ${classNames[top]} (${formatPercent(probabilities[top])}). ${exampleHint}`
  }
  const description = describePrediction(probabilities, classNames, doubts)
  return source ? `${description}. ${source}.` : description
}

/**
 * Show the predicted class and the remark.
 * @param {ArrayLike<number>} probabilities
 * @param {readonly string[]} classNames
 * @param {Remark} content
 * @returns {void}
 */
export function showPrediction(probabilities, classNames, content) {
  const guess = document.querySelector(".st-key-prediction .pg-guess")
  const [name, remark] = [guess?.querySelector("b"), guess?.querySelector("span")]
  if (!(name && remark)) return
  const className = classNames[findTopTwo(probabilities)[0]]
  setText(name, className)
  name.className = className.length > 2 ? "long" : ""
  setText(remark, describeRemark(content, probabilities, classNames))
}

/**
 * Show the probability bars of one network.
 * @param {number} column index of the network among those on the page
 * @param {ArrayLike<number>} probabilities
 * @param {readonly string[]} classNames
 * @param {string} title of the bars; empty: it stays
 * @returns {void}
 */
export function showBars(column, probabilities, classNames, title) {
  const bars = document.querySelectorAll(".st-key-prediction .pg-bars")[column]
  const heading = bars?.querySelector(".pg-note")
  if (heading && title) setText(heading, title)
  const rows = [...(bars?.querySelectorAll(".pg-bar") ?? [])]
  const indices = selectClasses(probabilities, rows.length)
  const [top] = findTopTwo(probabilities)
  rows.forEach((row, position) => {
    const index = indices[position]
    const [name, fill, figure] = [row.querySelector("b"), row.querySelector("u"), row.querySelector("span")]
    if (index === undefined || !(name && fill && figure)) return
    setText(name, classNames[index])
    fill.style.transition = "none" // the bar would lag behind the pen
    fill.style.width = `${(100 * probabilities[index]).toFixed(1)}%`
    setText(figure, formatPercent(probabilities[index]).slice(0, -1))
    row.classList.toggle("strong", index === top)
    row.ariaLabel = `${classNames[index]}: ${(100 * probabilities[index]).toFixed(1)}%`
  })
}

/**
 * Set the text of an element only if it changes, so that nothing is laid out again.
 * @param {Element} element
 * @param {string} text
 * @returns {void}
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}
