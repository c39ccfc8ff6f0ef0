import { IMAGE_SIZE } from "../../../web/canvas/rasterize.js"
import { describePrediction, findTopTwo, formatPercent } from "../../../web/views/prediction_text.js"

const BRIGHTEST = 255

/**
 * Show an image of 28×28 gray values over an <img>, until the server replaces it.
 * @param {HTMLImageElement} image
 * @param {Float32Array} values 0 to 1
 * @returns {void}
 */
function paintOver(image, values) {
  let canvas = /** @type {HTMLCanvasElement | null} */ (image.parentElement?.querySelector("canvas") ?? null)
  if (canvas === null) {
    canvas = document.createElement("canvas")
    canvas.width = IMAGE_SIZE
    canvas.height = IMAGE_SIZE
    canvas.style.width = `${image.width}px`
    canvas.style.height = `${image.height}px`
    canvas.style.boxSizing = "content-box"
    canvas.ariaHidden = "true"
    image.hidden = true
    image.after(canvas)
  }
  const pixels = new ImageData(IMAGE_SIZE, IMAGE_SIZE)
  for (let index = 0; index < values.length; index++) {
    pixels.data.fill(Math.round(values[index] * BRIGHTEST), 4 * index, 4 * index + 3)
    pixels.data[4 * index + 3] = BRIGHTEST
  }
  canvas.getContext("2d")?.putImageData(pixels, 0, 0)
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
 * @param {Float32Array} values (28, 28), 0 to 1
 * @returns {void}
 */
export function showStepImage(step, values) {
  const image = findStepImages()[step]
  if (image) paintOver(image, values)
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
 * Show the predicted class and its description.
 * @param {ArrayLike<number>} probabilities
 * @param {readonly string[]} classNames
 * @returns {void}
 */
export function showPrediction(probabilities, classNames) {
  const guess = document.querySelector(".st-key-prediction .pg-guess")
  const [name, remark] = [guess?.querySelector("b"), guess?.querySelector("span")]
  if (!(name && remark)) return
  const className = classNames[findTopTwo(probabilities)[0]]
  setText(name, className)
  name.className = className.length > 2 ? "long" : ""
  setText(remark, describePrediction(probabilities, classNames))
}

/**
 * Show the probability bars of one network.
 * @param {number} column index of the network among those on the page
 * @param {ArrayLike<number>} probabilities
 * @param {readonly string[]} classNames
 * @param {ArrayLike<number>} order probabilities that choose the classes if not all have a bar
 * @returns {void}
 */
export function showBars(column, probabilities, classNames, order) {
  const bars = document.querySelectorAll(".st-key-prediction .pg-bars")[column]
  const rows = [...(bars?.querySelectorAll(".pg-bar") ?? [])]
  const indices = selectClasses(order, rows.length)
  const [top] = findTopTwo(probabilities)
  rows.forEach((row, position) => {
    const index = indices[position]
    const [name, fill, figure] = [row.querySelector("b"), row.querySelector("u"), row.querySelector("span")]
    if (index === undefined || !(name && fill && figure)) return
    setText(name, classNames[index])
    fill.style.width = `${(100 * probabilities[index]).toFixed(1)}%`
    setText(figure, formatPercent(probabilities[index]).slice(0, -1))
    row.classList.toggle("strong", index === top)
    row.ariaLabel = `${classNames[index]}: ${(100 * probabilities[index]).toFixed(1)}%`
  })
}

/**
 * Select the classes that have a bar: all in their order, or the most probable ones.
 * @param {ArrayLike<number>} probabilities
 * @param {number} count of bars
 * @returns {number[]}
 */
export function selectClasses(probabilities, count) {
  const indices = Array.from(probabilities, (_, index) => index)
  if (count >= indices.length) return indices
  return indices.sort((first, second) => probabilities[second] - probabilities[first]).slice(0, count)
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
