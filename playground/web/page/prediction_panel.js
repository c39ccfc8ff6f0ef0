import { addElement } from "../views/dom.js"
import { describePrediction, findTopTwo, formatPercent, selectClasses } from "../views/prediction_text.js"

const MAX_BARS = 10
const SHORT_NAME = 2

/** @typedef {{ row: HTMLElement, name: HTMLElement, fill: HTMLElement, figure: HTMLElement }} Bar */

/** The predicted class in words and the probabilities as bars. */
export class PredictionPanel {
  /** @type {Bar[]} */
  #bars
  #guess
  #words
  #classNames

  /**
   * @param {{ guess: HTMLElement, words: HTMLElement, bars: HTMLElement }} nodes
   * @param {readonly string[]} classNames
   */
  constructor({ guess, words, bars }, classNames) {
    this.#guess = guess
    this.#words = words
    this.#classNames = classNames
    bars.replaceChildren()
    this.#bars = Array.from({ length: Math.min(classNames.length, MAX_BARS) }, () => {
      const row = addElement(bars, "div", "bar")
      row.role = "img"
      const name = addElement(row, "b")
      const fill = addElement(addElement(row, "i"), "u")
      return { row, name, fill, figure: addElement(row, "span") }
    })
  }

  /**
   * Show the probabilities of all classes, or of the most probable ones where there are many.
   * @param {ArrayLike<number>} probabilities
   * @param {number | null} label class of a test image
   * @returns {void}
   */
  show(probabilities, label) {
    const [top] = findTopTwo(probabilities)
    const className = this.#classNames[top]
    this.#guess.textContent = className
    this.#guess.className = className.length > SHORT_NAME ? "guess long" : "guess"
    const words = describePrediction(probabilities, this.#classNames)
    this.#words.textContent = label === null ? words : `${words}; label ${this.#classNames[label]}`
    const shown = selectClasses(probabilities, this.#bars.length)
    this.#bars.forEach((bar, position) => {
      const index = shown[position]
      const probability = probabilities[index]
      bar.name.textContent = this.#classNames[index]
      bar.fill.style.width = `${(100 * probability).toFixed(1)}%`
      bar.figure.textContent = formatPercent(probability)
      bar.row.classList.toggle("top", index === top)
      bar.row.ariaLabel = `${this.#classNames[index]}: ${(100 * probability).toFixed(1)}%`
      bar.row.dataset.value = String(probability)
    })
  }

  /**
   * Show that there is nothing to predict.
   * @param {string} hint
   * @returns {void}
   */
  showEmpty(hint) {
    this.#guess.textContent = "–"
    this.#guess.className = "guess"
    this.#words.textContent = hint
    this.#bars.forEach((bar, index) => {
      bar.name.textContent = this.#classNames[index]
      bar.fill.style.width = "0"
      bar.figure.textContent = ""
      bar.row.classList.remove("top")
      bar.row.ariaLabel = `${this.#classNames[index]}: no prediction`
      delete bar.row.dataset.value
    })
  }
}
