import { decodeBytes, decodeFloats } from "../../web/base64.js"
import { addElement } from "../../web/views/dom.js"
import { LiveDrawing } from "./lib/live_drawing.js"

/** @import { LiveDrawingData } from "./lib/live_drawing.js" */
/** @import { Overlay } from "./lib/live_input.js" */
/** @import { ComponentArgs } from "./lib/streamlit.js" */

/**
 * @typedef {Omit<LiveDrawingData, "answers" | "colors" | "overlay" | "modelInput"> & {
 *   answers: { runId: string, runName: string, step: number, probabilities: string }[], modelInput: string,
 *   colors: { sequential: string, diverging: string, gap: number[] },
 *   overlay: (Omit<Overlay, "image"> & { image: string | null }) | null }} LiveDrawingMessage What
 * components/live_drawing.py sends; arrays are base64.
 */

/** @type {WeakMap<Node, { drawing: LiveDrawing, notice: HTMLElement }>} */
const mounted = new WeakMap()

/**
 * Follow the pen on the canvas of the page: preprocessing, prediction and feature maps, computed in the browser.
 * @param {ComponentArgs<LiveDrawingMessage>} args
 * @returns {() => void}
 */
export default function renderLiveDrawing({ data, parentElement, setTriggerValue }) {
  const { drawing, notice } = mounted.get(parentElement) ?? mount(parentElement)
  const { sequential, diverging, gap } = data.colors
  const colors = { sequential: decodeBytes(sequential), diverging: decodeBytes(diverging), gap }
  const overlay = data.overlay && { ...data.overlay, image: decodeImage(data.overlay.image) }
  const answers = data.answers.map((answer) => ({ ...answer, probabilities: decodeFloats(answer.probabilities) }))
  const modelInput = decodeFloats(data.modelInput)
  drawing.update({ ...data, answers, colors, overlay, modelInput }, (problem) => setTriggerValue("problem", problem))
  return () => {
    drawing.dispose()
    notice.remove()
    mounted.delete(parentElement)
  }
}

/**
 * Decode the values of an image.
 * @param {string | null} text base64
 * @returns {Float32Array | null}
 */
function decodeImage(text) {
  return text === null ? null : decodeFloats(text)
}

/**
 * Create the notice and what follows the pen.
 * @param {HTMLElement | ShadowRoot} parentElement
 * @returns {{ drawing: LiveDrawing, notice: HTMLElement }}
 */
function mount(parentElement) {
  const notice = addElement(parentElement, "div", "pg-hint")
  notice.role = "status"
  const parts = { drawing: new LiveDrawing(notice), notice }
  mounted.set(parentElement, parts)
  return parts
}
