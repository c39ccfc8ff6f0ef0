import { decodeBytes } from "../../web/base64.js"
import { LiveDrawing } from "./lib/live_drawing.js"

/** @import { LiveDrawingData } from "./lib/live_drawing.js" */
/** @import { ComponentArgs } from "./lib/streamlit.js" */

/**
 * @typedef {Omit<LiveDrawingData, "colors"> & { colors: { sequential: string, diverging: string, gap: number[] } }}
 * LiveDrawingMessage What components/live_drawing.py sends.
 */

/** @type {WeakMap<Node, LiveDrawing>} */
const drawings = new WeakMap()

/**
 * Follow the pen on the canvas of the page: preprocessing, prediction and feature maps, computed in the browser.
 * @param {ComponentArgs<LiveDrawingMessage>} args
 * @returns {() => void}
 */
export default function renderLiveDrawing({ data, parentElement, setTriggerValue }) {
  const drawing = drawings.get(parentElement) ?? new LiveDrawing()
  drawings.set(parentElement, drawing)
  const { sequential, diverging, gap } = data.colors
  const colors = { sequential: decodeBytes(sequential), diverging: decodeBytes(diverging), gap }
  drawing.update({ ...data, colors }, (problem) => setTriggerValue("problem", problem))
  return () => {
    drawing.dispose()
    drawings.delete(parentElement)
  }
}
