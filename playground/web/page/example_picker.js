import { addButton, addElement } from "../views/dom.js"
import { paintImage } from "../views/feature_maps.js"
import { getExample } from "./page_data.js"

/** @import { PageData } from "./page_data.js" */

/** @type {Record<string, number>} */
const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }

/** Test images to choose from, as a group of radio buttons: arrow keys choose the next one. */
export class ExamplePicker {
  /** @type {HTMLButtonElement[]} */
  #buttons = []
  #onChoose

  /**
   * @param {HTMLElement} parent replaced content
   * @param {PageData} data
   * @param {readonly number[]} shape of the images
   * @param {(index: number) => void} onChoose
   */
  constructor(parent, data, shape, onChoose) {
    this.#onChoose = onChoose
    parent.replaceChildren()
    data.exampleLabels.forEach((label, index) => {
      const button = addButton(parent, "example")
      button.role = "radio"
      button.ariaLabel = `Test image ${index + 1}, label ${data.classNames[label]}`
      paintImage(addElement(button, "canvas"), getExample(data, index), shape, 1)
      addElement(button, "span", "", data.classNames[label])
      button.addEventListener("click", () => this.#choose(index))
      button.addEventListener("keydown", (event) => this.#step(event, index))
      this.#buttons.push(button)
    })
    this.select(null)
  }

  /**
   * Mark an example as chosen; null marks none.
   * @param {number | null} index
   * @returns {void}
   */
  select(index) {
    this.#buttons.forEach((button, position) => {
      button.ariaChecked = String(position === index)
      button.tabIndex = position === (index ?? 0) ? 0 : -1
    })
  }

  /**
   * Choose the neighbor that an arrow key points at.
   * @param {KeyboardEvent} event
   * @param {number} index of the focused button
   * @returns {void}
   */
  #step(event, index) {
    const step = STEPS[event.key]
    if (step === undefined) return
    event.preventDefault()
    this.#choose((index + step + this.#buttons.length) % this.#buttons.length)
  }

  /**
   * Choose an example.
   * @param {number} index
   * @returns {void}
   */
  #choose(index) {
    this.select(index)
    this.#buttons[index].focus()
    this.#onChoose(index)
  }
}
