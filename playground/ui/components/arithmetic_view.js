import { decodeBytes, decodeFloats } from "../../web/base64.js"
import { computeContributions, describeEquation } from "../../web/views/arithmetic.js"
import {
  addCellGrid,
  createMapPanel,
  MAP_SIZE,
  outlineBox,
  paintMap,
  showBars,
  showEquation,
} from "../../web/views/arithmetic_panels.js"
import { lookupColor, maxMagnitude } from "../../web/views/color_map.js"
import { addButton, addElement } from "../../web/views/dom.js"
import {
  clampPosition,
  findGridValue,
  gridPixel,
  moveByKey,
  nextPosition,
  positionAt,
} from "../../web/views/map_positions.js"
import { formatNumber } from "../../web/views/number_format.js"
import { decodeChannel, nameInputChannel, windowBox } from "./lib/arithmetic_data.js"

/** @import { Contribution, Position } from "../../web/views/arithmetic.js" */
/** @import { ArithmeticData, Channel, Grid, Tables } from "./lib/arithmetic_data.js" */
/** @import { Color } from "../../web/views/color_map.js" */
/** @import { ComponentArgs } from "./lib/streamlit.js" */

/** @typedef {{ channel: number } & Position} Selection */

/** Positions per second while playing. */
const SPEEDS = [
  { label: "slow", rate: 1 },
  { label: "normal", rate: 5 },
  { label: "fast", rate: 25 },
]
const SINGLE_VALUE_SIZE = 44
const MARKER_BORDER = 2
const MIN_MARKER = 6

/** Feature maps of a layer and the arithmetic of the selected value. Only another channel needs the server. */
class ArithmeticView {
  /** @param {HTMLElement | ShadowRoot} parent */
  constructor(parent) {
    /** @type {Position} */
    this.position = { row: 0, column: 0 }
    /** @type {Position} Selected by a click; the position returns here when the pointer leaves the map. */
    this.pinned = this.position
    /** The position that the server sent last and that was shown. */
    this.serverPosition = ""
    this.inputChannel = 0
    /** @type {number | null} */
    this.paintedInput = null
    /** @type {ReturnType<typeof setInterval> | null} */
    this.timer = null
    this.speed = 1
    /** @type {(selection: Selection) => void} */
    this.onSelect = () => undefined

    this.root = addElement(parent, "div", "scope")
    const row = addElement(this.root, "div", "bench")
    this.imagePanel = createMapPanel(row, "input")
    this.imageArrow = addElement(row, "div", "sign", "→")
    this.inputPanel = createMapPanel(row, "")
    this.products = addElement(row, "div", "bench")
    this.outputPanel = createMapPanel(row, "")
    this.barsTitle = addElement(this.root, "div", "note")
    this.bars = addElement(this.root, "div", "bars")
    this.equation = addElement(this.root, "div", "sum")
    this.equation.role = "status"
    const tools = addElement(this.root, "div", "tools")
    this.playButton = addButton(tools, "", "Play")
    this.stepButton = addButton(tools, "", "Step")
    this.speedButton = addButton(tools, "", SPEEDS[this.speed].label)
    this.positionText = addElement(tools, "span", "note")
    this.gridHint = addElement(this.root, "div", "note")
    this.grid = addElement(addElement(this.root, "div", "grid"), "div", "inner")
    this.gridImage = addElement(this.grid, "img")
    this.gridImage.draggable = false
    this.gridMarker = addElement(this.grid, "div", "box")
    this.tip = addElement(this.grid, "div", "tip")
    this.tip.hidden = true
    this.connectTools()
    this.connectMap()
    this.connectGrid()
  }

  /**
   * Show new data; the selected position stays while the server has not chosen another one.
   * @param {ArithmeticData} data
   * @returns {void}
   */
  update(data) {
    if (this.data?.token !== data.token) this.load(data)
    this.render()
  }

  /**
   * Decode new data and paint what does not depend on the position.
   * @param {ArithmeticData} data
   * @returns {void}
   */
  load(data) {
    const previous = this.data
    const isOtherLayer = previous?.layer !== data.layer
    const isOtherChannel = isOtherLayer || previous.channel !== data.channel
    const isMovedByServer = data.position.join() !== this.serverPosition
    this.data = data
    this.channel = decodeChannel(data.detail)
    this.gridValues = data.grid.values === null ? null : decodeFloats(data.grid.values)
    this.tables = {
      ink: decodeBytes(data.palettes.ink),
      sequential: decodeBytes(data.palettes.sequential),
      diverging: decodeBytes(data.palettes.diverging),
    }
    this.paintedInput = null
    if (isOtherLayer) this.inputChannel = 0
    if (isOtherChannel || (isMovedByServer && this.timer === null)) {
      this.stop()
      this.position = { row: data.position[0], column: data.position[1] }
      this.serverPosition = data.position.join()
    }
    this.position = clampPosition(this.position, this.channel.shape)
    this.pinned = this.position
    this.paintFixedMaps(data, this.channel, this.tables)
    this.loadGrid(data)
  }

  /**
   * Paint the image and the channel's output.
   * @param {ArithmeticData} data
   * @param {Channel} channel
   * @param {Tables} tables
   * @returns {void}
   */
  paintFixedMaps(data, channel, tables) {
    const hasOneValue = channel.shape[0] * channel.shape[1] === 1
    paintMap(this.imagePanel, channel.image, channel.imageShape, { table: tables.ink, low: 0, high: 1 })
    this.imagePanel.note.textContent = "receptive field"
    this.imagePanel.root.hidden = channel.isNetworkInput
    paintMap(this.outputPanel, channel.displayed, channel.shape, {
      table: tables[channel.palette],
      low: channel.low,
      high: channel.high,
      size: hasOneValue ? SINGLE_VALUE_SIZE : MAP_SIZE,
    })
    this.outputPanel.title.textContent = data.titles.output
    this.outputPanel.map.ariaLabel = `${data.titles.output}: arrow keys move the selection`
    this.outputPanel.note.textContent = hasOneValue ? "" : "Point at a value or click it"
    for (const button of [this.playButton, this.stepButton, this.speedButton]) button.hidden = hasOneValue
  }

  /**
   * Show the image of all feature maps.
   * @param {ArithmeticData} data
   * @returns {void}
   */
  loadGrid({ grid, titles }) {
    this.gridImage.src = grid.png
    this.gridImage.alt = grid.alt
    this.gridImage.width = grid.width
    this.gridImage.height = grid.height
    this.grid.style.width = `${grid.width}px`
    this.gridHint.textContent = titles.grid
  }

  /** Show the arithmetic of the selected position. */
  render() {
    const { channel, data, tables, position } = this
    if (!(channel && data && tables)) return
    const contributions = computeContributions(channel, position)
    this.inputChannel = Math.min(this.inputChannel, contributions.length - 1)
    this.renderImage(channel)
    this.renderInput(channel, tables)
    this.renderOutput(channel, data.grid, data.channel)
    this.renderProducts(channel, contributions[this.inputChannel], tables.diverging)
    this.renderBars(channel, contributions)
    const output = channel.output[position.row * channel.shape[1] + position.column]
    showEquation(
      this.equation,
      describeEquation(channel, contributions, { output, activation: data.titles.activation }),
    )
  }

  /**
   * Outline the receptive field in the image.
   * @param {Channel} channel
   * @returns {void}
   */
  renderImage(channel) {
    const [top, bottom] = channel.receptiveRows[this.position.row]
    const [left, right] = channel.receptiveColumns[this.position.column]
    outlineBox(this.imagePanel, [top, left, bottom, right], channel.imageShape)
  }

  /**
   * Show the selected input channel and the window in it.
   * @param {Channel} channel
   * @param {Tables} tables
   * @returns {void}
   */
  renderInput(channel, tables) {
    const [, height, width] = channel.inputShape
    this.inputPanel.root.hidden = height * width === 1
    this.imageArrow.hidden = this.inputPanel.root.hidden || channel.isNetworkInput
    if (this.paintedInput !== this.inputChannel) {
      const start = this.inputChannel * height * width
      const hasNegative = channel.input.some((value) => value < 0)
      const largest = maxMagnitude(channel.input)
      const table = hasNegative ? tables.diverging : tables.sequential
      paintMap(
        this.inputPanel,
        channel.input.subarray(start, start + height * width),
        [height, width],
        channel.isNetworkInput
          ? { table: tables.ink, low: 0, high: 1 }
          : { table, low: hasNegative ? -largest : 0, high: largest },
      )
      this.renderInputTitle(channel)
      this.paintedInput = this.inputChannel
    }
    outlineBox(this.inputPanel, windowBox(channel, this.position), [height, width])
  }

  /**
   * Show the name of the selected input channel, between buttons that select its neighbors.
   * @param {Channel} channel
   * @returns {void}
   */
  renderInputTitle(channel) {
    const { title } = this.inputPanel
    title.replaceChildren()
    const name = nameInputChannel(channel, this.inputChannel)
    const [count] = channel.inputShape
    if (count === 1) {
      title.textContent = name
      return
    }
    const previous = addButton(title, "", "‹")
    previous.ariaLabel = "Previous input channel"
    previous.onclick = () => this.selectInput((this.inputChannel + count - 1) % count)
    addElement(title, "span", "", name)
    const next = addButton(title, "", "›")
    next.ariaLabel = "Next input channel"
    next.onclick = () => this.selectInput((this.inputChannel + 1) % count)
  }

  /**
   * Mark the selected value in the channel's map and in the image of all maps.
   * @param {Channel} channel
   * @param {Grid} grid
   * @param {number} channelIndex
   * @returns {void}
   */
  renderOutput({ shape }, grid, channelIndex) {
    const { row, column } = this.position
    const [height, width] = shape
    outlineBox(this.outputPanel, [row, column, row + 1, column + 1], shape)
    this.positionText.textContent =
      height * width > 1 ? `row ${row + 1}, column ${column + 1} of ${height}×${width}` : ""
    const pixel = gridPixel(grid, channelIndex, this.position)
    this.gridMarker.hidden = pixel === null
    if (pixel === null) return
    const size = Math.max(grid.block, MIN_MARKER)
    const offset = (grid.block - size) / 2 - MARKER_BORDER
    this.gridMarker.style.left = `${pixel[0] + offset}px`
    this.gridMarker.style.top = `${pixel[1] + offset}px`
    this.gridMarker.style.width = `${size}px`
    this.gridMarker.style.height = `${size}px`
  }

  /**
   * Show patch, kernel and products of one input channel.
   * @param {Channel} channel
   * @param {Contribution} contribution
   * @param {Uint8Array} table diverging color table
   * @returns {void}
   */
  renderProducts(channel, { cells, columns, maxIndex }, table) {
    this.products.replaceChildren()
    if (["same", "function", "scale", "add"].includes(channel.rule)) return
    const viewWidth = this.root.clientWidth
    const isInside = cells.map((cell) => cell.isInside)
    const inputLimit = maxMagnitude(channel.input)
    /** @type {(limit: number) => (value: number) => Color} */
    const colorsUpTo = (limit) => (value) => lookupColor(table, -limit, limit, value)
    const patch = { title: "patch", values: cells.map((cell) => cell.value), columns, isInside }
    const outlined = channel.rule === "largest" ? { maxIndex } : {}
    addCellGrid(this.products, { ...patch, ...outlined, colorOf: colorsUpTo(inputLimit) }, viewWidth)
    if (channel.weights) {
      const weightLimit = maxMagnitude(channel.weights)
      const kernel = { title: "kernel", values: cells.map((cell) => cell.weight), columns }
      addElement(this.products, "div", "sign", "×")
      addCellGrid(this.products, { ...kernel, colorOf: colorsUpTo(weightLimit) }, viewWidth)
      const values = cells.map((cell) => cell.product)
      // At least a tenth of the largest possible product: small products stay pale.
      const productLimit = Math.max(maxMagnitude(values), inputLimit * weightLimit * 0.1)
      addElement(this.products, "div", "sign", "=")
      addCellGrid(
        this.products,
        { title: "products", values, columns, isInside, colorOf: colorsUpTo(productLimit) },
        viewWidth,
      )
    }
    addElement(this.products, "div", "sign", "→")
  }

  /**
   * Show the contributions of the input channels, if there are several.
   * @param {Channel} channel
   * @param {Contribution[]} contributions
   * @returns {void}
   */
  renderBars(channel, contributions) {
    this.bars.hidden = contributions.length === 1
    this.barsTitle.hidden = this.bars.hidden
    if (this.bars.hidden) return
    this.barsTitle.textContent =
      channel.rule === "add"
        ? "Contributions of the main branch and the shortcut"
        : `Contributions of the ${contributions.length} input channels. Click one to see its patch.`
    showBars(this.bars, contributions, {
      names: contributions.map((_, index) => nameInputChannel(channel, index)),
      selected: this.inputChannel,
      onSelect: (inputChannel) => this.selectInput(inputChannel),
    })
  }

  /** Connect the buttons that move through the map. */
  connectTools() {
    this.playButton.title = "Step through all positions"
    this.playButton.onclick = () => (this.timer === null ? this.start() : this.stop())
    this.stepButton.onclick = () => {
      this.stop()
      this.advance()
    }
    this.speedButton.title = "Speed"
    this.speedButton.onclick = () => {
      this.speed = (this.speed + 1) % SPEEDS.length
      this.speedButton.textContent = SPEEDS[this.speed].label
      if (this.timer === null) return
      this.stop()
      this.start()
    }
  }

  /** Connect pointer and keyboard of the channel's map. */
  connectMap() {
    const { map } = this.outputPanel
    map.classList.add("live")
    map.tabIndex = 0
    map.role = "application"
    map.onpointermove = (event) => {
      const isTouchWithoutContact = event.pointerType !== "mouse" && event.buttons === 0
      if (this.timer === null && !isTouchWithoutContact) this.moveTo(this.positionUnder(event))
    }
    map.onpointerleave = () => {
      if (this.timer === null) this.moveTo(this.pinned)
    }
    map.onclick = (event) => {
      this.stop()
      this.moveTo(this.positionUnder(event))
      this.pin()
    }
    map.onkeydown = (event) => {
      const position = this.channel && moveByKey(event.key, this.position, this.channel.shape)
      if (!position) return
      event.preventDefault()
      this.moveTo(position)
      this.pinned = position
    }
  }

  /** Connect the image of all feature maps. */
  connectGrid() {
    this.grid.onpointermove = (event) => this.showTip(event)
    this.grid.onpointerleave = () => {
      this.tip.hidden = true
    }
    this.grid.onclick = (event) => {
      const found = this.gridValueUnder(event)
      if (!found) return
      this.stop()
      const { channel, row, column } = found
      if (channel === this.data?.channel) this.moveTo({ row, column })
      else this.position = { row, column } // rendered when the server has sent that channel
      this.pinned = this.position
      this.onSelect({ channel, row, column })
    }
  }

  /**
   * Show an input channel's patch.
   * @param {number} inputChannel
   * @returns {void}
   */
  selectInput(inputChannel) {
    this.inputChannel = inputChannel
    this.render()
  }

  /**
   * Select a position until the pointer moves on.
   * @param {Position} position
   * @returns {void}
   */
  moveTo(position) {
    this.position = position
    this.render()
  }

  /** Keep the position and tell the server. */
  pin() {
    this.pinned = this.position
    if (this.data) this.onSelect({ channel: this.data.channel, ...this.position })
  }

  /** Step through the positions by a timer. */
  start() {
    this.playButton.textContent = "Pause"
    const interval = 1000 / SPEEDS[this.speed].rate
    this.timer = setInterval(() => (this.root.isConnected ? this.advance() : this.stop()), interval)
  }

  /** Stop the timer. */
  stop() {
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
    this.playButton.textContent = "Play"
  }

  /** Go to the next position. */
  advance() {
    if (this.channel) this.moveTo(nextPosition(this.position, this.channel.shape))
  }

  /**
   * Find the position under the pointer in the channel's map.
   * @param {MouseEvent} event
   * @returns {Position}
   */
  positionUnder(event) {
    const area = this.outputPanel.map.getBoundingClientRect()
    const x = (event.clientX - area.left) / area.width
    const y = (event.clientY - area.top) / area.height
    return positionAt(x, y, this.channel?.shape ?? [1, 1])
  }

  /**
   * Find the value under the pointer in the image of all maps.
   * @param {MouseEvent} event
   * @returns {ReturnType<typeof findGridValue>}
   */
  gridValueUnder(event) {
    if (!this.data) return null
    const { grid } = this.data
    const area = this.gridImage.getBoundingClientRect()
    const x = ((event.clientX - area.left) / area.width) * grid.width
    const y = ((event.clientY - area.top) / area.height) * grid.height
    return findGridValue(grid, x, y)
  }

  /**
   * Show channel, position and value under the pointer.
   * @param {PointerEvent} event
   * @returns {void}
   */
  showTip(event) {
    const found = this.gridValueUnder(event)
    this.tip.hidden = found === null
    if (found === null) return
    const { channel, row, column, index } = found
    const name = this.data?.grid.isVector
      ? `value ${channel + 1}`
      : `channel ${channel + 1}, row ${row + 1}, column ${column + 1}`
    this.tip.textContent = this.gridValues ? `${name}: ${formatNumber(this.gridValues[index])}` : name
    const area = this.grid.getBoundingClientRect()
    const x = Math.min(event.clientX - area.left + 12, area.width - this.tip.offsetWidth)
    this.tip.style.left = `${Math.max(0, x)}px`
    this.tip.style.top = `${event.clientY - area.top + 16}px`
  }
}

/** @type {WeakMap<Node, ArithmeticView>} */
const views = new WeakMap()

/**
 * Show the arithmetic of a layer's values.
 * @param {ComponentArgs<ArithmeticData>} args
 * @returns {() => void}
 */
export default function renderArithmeticView({ data, parentElement, setStateValue }) {
  const view = views.get(parentElement) ?? new ArithmeticView(parentElement)
  views.set(parentElement, view)
  view.onSelect = ({ channel, row, column }) => setStateValue("position", [channel, row, column])
  view.update(data)
  return () => view.stop()
}
