import { windowBox } from "./arithmetic.js"
import { createMapPanel, outlineBox, paintMap } from "./arithmetic_panels.js"
import { nameInputChannel } from "./channel_names.js"
import { addButton, addElement } from "./dom.js"

/** @import { ChannelExplanation } from "../engine/types.js" */
/** @import { Position } from "./arithmetic.js" */
/** @import { ColorTables, ShownChannel } from "./arithmetic_view.js" */

/** One input channel of a value, its name between buttons that select the neighbors, and the window in it. */
export class InputPanel {
  /** @type {Float32Array | null} the values that were painted last */
  #painted = null
  #panel
  #previous
  #name
  #next

  /**
   * @param {HTMLElement} parent
   * @param {(step: 1 | -1) => void} onStep another input channel is wanted
   */
  constructor(parent, onStep) {
    this.#panel = createMapPanel(parent, "")
    const { title } = this.#panel
    this.#previous = addButton(title, "", "‹")
    this.#previous.ariaLabel = "Previous input channel"
    this.#previous.onclick = () => onStep(-1)
    this.#name = addElement(title, "span")
    this.#next = addButton(title, "", "›")
    this.#next.ariaLabel = "Next input channel"
    this.#next.onclick = () => onStep(1)
  }

  /** True for inputs of one value, which a map would not show better than the equation does. */
  get isHidden() {
    return this.#panel.root.hidden
  }

  /**
   * Show an input channel; it is painted only if it changes.
   * @param {Pick<ShownChannel, "explanation" | "source">} channel
   * @param {number} index of the input channel
   * @param {ColorTables} tables
   * @param {number} limit largest magnitude of all input channels
   * @returns {void}
   */
  show({ explanation, source }, index, tables, limit) {
    const { input, inputShape } = explanation
    const [count, height, width] = inputShape
    this.#panel.root.hidden = height * width === 1
    this.#previous.hidden = count === 1
    this.#next.hidden = count === 1
    const name = nameInputChannel(explanation, source, index)
    if (this.#name.textContent === name && this.#painted === input) return
    this.#name.textContent = name
    this.#painted = input
    const start = index * height * width
    const values = input.subarray(start, start + height * width)
    paintMap(this.#panel, values, [height, width], chooseScale(explanation, source, tables, limit))
  }

  /**
   * Outline the window at a position.
   * @param {ChannelExplanation} explanation
   * @param {Position} position
   * @returns {void}
   */
  outline(explanation, position) {
    const [, height, width] = explanation.inputShape
    outlineBox(this.#panel, windowBox(explanation, position), [height, width])
  }
}

/**
 * Choose the colors of the inputs: black and white for an image.
 * @param {ChannelExplanation} explanation
 * @param {ShownChannel["source"]} source
 * @param {ColorTables} tables
 * @param {number} limit
 * @returns {{ table: Uint8Array, low: number, high: number }}
 */
function chooseScale({ input }, { imageChannels }, { ink, sequential, diverging }, limit) {
  if (imageChannels !== null) return { table: ink, low: 0, high: 1 }
  const hasNegative = input.some((value) => value < 0)
  return hasNegative ? { table: diverging, low: -limit, high: limit } : { table: sequential, low: 0, high: limit }
}
