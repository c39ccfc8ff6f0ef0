import { decodeBytes, decodeFloats } from "../../web/base64.js"
import { addButton, addElement } from "../../web/views/dom.js"

/** @import { ComponentArgs } from "./lib/streamlit.js" */

/** @typedef {[x: number, y: number]} Point */

/**
 * @typedef {object} ScatterPlotData What components/scatter_plot.py sends.
 * @property {string} points x and y of each point, float32 in base64
 * @property {string} groups group of each point, bytes in base64
 * @property {string[]} captions
 * @property {string} sprite URL of one image with the thumbnails of all points
 * @property {string[]} names of the groups
 * @property {string[]} colors of the groups, repeated if there are fewer
 * @property {[width: number, height: number]} tile pixels of a thumbnail
 * @property {number} columns thumbnails per row of the sprite
 * @property {Point | null} star an additional point
 * @property {number} height CSS pixels
 */

const POINT_RADIUS = 3
const MAX_HOVER_DISTANCE = 14
const MARGIN = 16
const TIP_OFFSET = 12
const MIN_TIP_IMAGE = 64
const STAR = { corners: 5, outerRadius: 12, innerRadius: 5, fill: "#f59e0b", outline: "#000" }

/**
 * Create the mapping from data to pixels: one scale for both axes, centered, y upward.
 * @param {ArrayLike<number>} coordinates x and y of each point, one after the other
 * @param {number} width CSS pixels
 * @param {number} height
 * @returns {(x: number, y: number) => Point}
 */
export function createScale(coordinates, width, height) {
  const min = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  const max = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (let index = 0; index < coordinates.length; index++) {
    const axis = index % 2
    min[axis] = Math.min(min[axis], coordinates[index])
    max[axis] = Math.max(max[axis], coordinates[index])
  }
  const scale = Math.min(
    (width - 2 * MARGIN) / Math.max(1e-9, max[0] - min[0]),
    (height - 2 * MARGIN) / Math.max(1e-9, max[1] - min[1]),
  )
  return (x, y) => [width / 2 + (x - (min[0] + max[0]) / 2) * scale, height / 2 - (y - (min[1] + max[1]) / 2) * scale]
}

/**
 * Find the visible point that is closest to a pixel; -1 if none is within reach.
 * @param {Point[]} pixels of the points
 * @param {Point} pixel
 * @param {(index: number) => boolean} isVisible
 * @returns {number}
 */
export function findNearest(pixels, [x, y], isVisible) {
  let nearest = -1
  let smallest = MAX_HOVER_DISTANCE ** 2
  pixels.forEach(([left, top], index) => {
    const squaredDistance = (left - x) ** 2 + (top - y) ** 2
    if (squaredDistance >= smallest || !isVisible(index)) return
    nearest = index
    smallest = squaredDistance
  })
  return nearest
}

/**
 * Compute the CSS that shows one thumbnail of a sprite, enlarged by a whole number.
 * @param {number} index
 * @param {Pick<ScatterPlotData, "tile" | "columns" | "sprite">} sprite
 * @returns {Partial<CSSStyleDeclaration>}
 */
export function thumbnailStyle(index, { tile: [width, height], columns, sprite }) {
  const zoom = Math.max(1, Math.round(MIN_TIP_IMAGE / Math.max(width, height)))
  const column = index % columns
  const row = Math.floor(index / columns)
  return {
    width: `${width * zoom}px`,
    height: `${height * zoom}px`,
    backgroundImage: `url(${sprite})`,
    backgroundSize: `${columns * width * zoom}px auto`,
    backgroundPosition: `${-column * width * zoom}px ${-row * height * zoom}px`,
  }
}

/**
 * Draw a star.
 * @param {CanvasRenderingContext2D} context
 * @param {Point} center
 * @returns {void}
 */
function drawStar(context, [x, y]) {
  context.beginPath()
  for (let corner = 0; corner < 2 * STAR.corners; corner++) {
    const radius = corner % 2 === 0 ? STAR.outerRadius : STAR.innerRadius
    const angle = (corner * Math.PI) / STAR.corners - Math.PI / 2
    context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle))
  }
  context.closePath()
  context.fillStyle = STAR.fill
  context.strokeStyle = STAR.outline
  context.lineWidth = 1.5
  context.fill()
  context.stroke()
}

/** Scatter plot on a canvas. Hovering shows a point's thumbnail, a click selects it. */
class ScatterPlot {
  /** @param {HTMLElement | ShadowRoot} parent */
  constructor(parent) {
    const root = addElement(parent, "div", "scatter")
    this.legend = addElement(root, "div", "key")
    this.canvas = addElement(root, "canvas")
    this.canvas.role = "img"
    this.tip = addElement(root, "div", "tip")
    this.tip.hidden = true
    this.thumbnail = addElement(this.tip, "i")
    this.caption = addElement(this.tip, "span")
    /** @type {Set<number>} */
    this.hiddenGroups = new Set()
    /** @type {Point[]} */
    this.pixels = []
    /** @type {(index: number) => void} */
    this.onSelect = () => undefined
    this.canvas.onpointermove = (event) => this.showTip(event)
    this.canvas.onpointerleave = () => {
      this.tip.hidden = true
    }
    this.canvas.onclick = (event) => {
      const index = this.findUnder(event)
      if (index >= 0) this.onSelect(index)
    }
    new ResizeObserver(() => this.draw()).observe(this.canvas)
  }

  /**
   * Show new data; other group names make all groups visible.
   * @param {ScatterPlotData} data
   * @returns {void}
   */
  update(data) {
    if (this.data?.names.join() !== data.names.join()) this.hiddenGroups.clear()
    this.data = data
    this.points = decodeFloats(data.points)
    this.groups = decodeBytes(data.groups)
    this.canvas.ariaLabel = `Scatter plot of ${this.groups.length} images`
    this.showLegend(data)
    this.draw()
  }

  /**
   * Show a button per group that hides its points.
   * @param {ScatterPlotData} data
   * @returns {void}
   */
  showLegend({ names, colors }) {
    this.legend.replaceChildren()
    names.forEach((name, group) => {
      const button = addButton(this.legend)
      const showState = () => {
        const isHidden = this.hiddenGroups.has(group)
        button.className = isHidden ? "off" : ""
        button.ariaPressed = String(!isHidden)
      }
      addElement(button, "i").style.background = colors[group % colors.length]
      addElement(button, "span", "", name)
      button.title = "Show or hide"
      button.onclick = () => {
        if (!this.hiddenGroups.delete(group)) this.hiddenGroups.add(group)
        showState()
        this.draw()
      }
      showState()
    })
  }

  /** Draw all points at the canvas's current size. */
  draw() {
    const { canvas, data, points, groups } = this
    const context = canvas.getContext("2d")
    if (!(data && points && groups && context)) return
    const pixelRatio = window.devicePixelRatio || 1
    const width = canvas.clientWidth
    canvas.style.height = `${data.height}px`
    canvas.width = width * pixelRatio
    canvas.height = data.height * pixelRatio
    context.scale(pixelRatio, pixelRatio)
    const toPixel = createScale([...points, ...(data.star ?? [])], width, data.height)
    this.pixels = Array.from(groups, (_, index) => toPixel(points[index * 2], points[index * 2 + 1]))
    context.globalAlpha = 0.8
    this.pixels.forEach(([x, y], index) => {
      if (this.hiddenGroups.has(groups[index])) return
      context.fillStyle = data.colors[groups[index] % data.colors.length]
      context.beginPath()
      context.arc(x, y, POINT_RADIUS, 0, 2 * Math.PI)
      context.fill()
    })
    context.globalAlpha = 1
    if (data.star) drawStar(context, toPixel(...data.star))
  }

  /**
   * Find the point under the pointer; -1 if there is none.
   * @param {MouseEvent} event
   * @returns {number}
   */
  findUnder(event) {
    const { groups } = this
    if (!groups) return -1
    const area = this.canvas.getBoundingClientRect()
    const isVisible = (/** @type {number} */ index) => !this.hiddenGroups.has(groups[index])
    return findNearest(this.pixels, [event.clientX - area.left, event.clientY - area.top], isVisible)
  }

  /**
   * Show thumbnail and caption of the point under the pointer.
   * @param {PointerEvent} event
   * @returns {void}
   */
  showTip(event) {
    const index = this.findUnder(event)
    this.tip.hidden = index < 0
    if (index < 0 || !this.data) return
    Object.assign(this.thumbnail.style, thumbnailStyle(index, this.data))
    this.caption.textContent = this.data.captions[index]
    const [x, y] = this.pixels[index]
    const left = Math.min(x + TIP_OFFSET, this.canvas.clientWidth - this.tip.offsetWidth)
    this.tip.style.left = `${Math.max(0, left)}px`
    this.tip.style.top = `${this.canvas.offsetTop + y + TIP_OFFSET}px`
  }
}

/** @type {WeakMap<Node, ScatterPlot>} */
const plots = new WeakMap()

/**
 * Show images as points; a click sends the index of its point.
 * @param {ComponentArgs<ScatterPlotData>} args
 * @returns {void}
 */
export default function renderScatterPlot({ data, parentElement, setTriggerValue }) {
  const plot = plots.get(parentElement) ?? new ScatterPlot(parentElement)
  plots.set(parentElement, plot)
  plot.onSelect = (index) => setTriggerValue("clicked", index)
  plot.update(data)
}
