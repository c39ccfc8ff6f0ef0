import { addButton, addElement } from "./dom.js"

/** Positions per second while playing. */
const SPEEDS = [
  { label: "slow", rate: 1 },
  { label: "normal", rate: 5 },
  { label: "fast", rate: 25 },
]
const NORMAL = 1

/** Buttons that step through the positions of a map, once or by a timer, and the position in words. */
export class PositionPlayer {
  /** @type {ReturnType<typeof setInterval> | null} */
  #timer = null
  #speed = NORMAL
  #root
  #playButton
  #stepButton
  #speedButton
  #text
  #onAdvance

  /**
   * @param {HTMLElement} parent
   * @param {() => void} onAdvance
   */
  constructor(parent, onAdvance) {
    this.#onAdvance = onAdvance
    this.#root = addElement(parent, "div", "tools")
    this.#playButton = addButton(this.#root, "", "Play")
    this.#playButton.title = "Step through all positions"
    this.#playButton.onclick = () => (this.isPlaying ? this.stop() : this.#start())
    this.#stepButton = addButton(this.#root, "", "Step")
    this.#stepButton.onclick = () => {
      this.stop()
      onAdvance()
    }
    this.#speedButton = addButton(this.#root, "", SPEEDS[NORMAL].label)
    this.#speedButton.title = "Speed"
    this.#speedButton.onclick = () => this.#changeSpeed()
    this.#text = addElement(this.#root, "span", "note")
  }

  get isPlaying() {
    return this.#timer !== null
  }

  /**
   * Show a position of a map; a map of one value has no buttons.
   * @param {{ row: number, column: number }} position
   * @param {[height: number, width: number]} shape
   * @returns {void}
   */
  show({ row, column }, [height, width]) {
    const hasOneValue = height * width === 1
    for (const button of [this.#playButton, this.#stepButton, this.#speedButton]) button.hidden = hasOneValue
    this.#text.textContent = hasOneValue ? "" : `row ${row + 1}, column ${column + 1} of ${height}×${width}`
  }

  /** Stop the timer. */
  stop() {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#playButton.textContent = "Play"
  }

  /** Advance by a timer, which ends when the buttons leave the document. */
  #start() {
    this.#playButton.textContent = "Pause"
    this.#timer = setInterval(
      () => (this.#root.isConnected ? this.#onAdvance() : this.stop()),
      1000 / SPEEDS[this.#speed].rate,
    )
  }

  /** Choose the next speed. */
  #changeSpeed() {
    this.#speed = (this.#speed + 1) % SPEEDS.length
    this.#speedButton.textContent = SPEEDS[this.#speed].label
    if (!this.isPlaying) return
    this.stop()
    this.#start()
  }
}
