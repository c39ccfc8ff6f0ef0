import { addButton, addElement } from "../../web/views/dom.js"
import { arrangeMaps, computeZeroShare, FeatureMapPainter, paintImage } from "../../web/views/feature_maps.js"
import { formatPercent } from "../../web/views/prediction_text.js"
import { getLiveStore } from "./lib/live_store.js"

/** @import { LiveLayer, LiveLayers } from "./lib/live_store.js" */
/** @import { ComponentArgs } from "./lib/streamlit.js" */

/**
 * @typedef {object} Layer
 * @property {string} id sent back by a click
 * @property {string} title
 * @property {string} caption
 * @property {string | null} image URL; without it, `text` is shown
 * @property {number} width CSS pixels
 * @property {number} height
 * @property {string} alt
 * @property {string} text
 */

/** @typedef {{ layers: Layer[] }} LayerStripData What components/layer_strip.py sends. */

/**
 * @typedef {object} LayerNodes
 * @property {HTMLElement} item
 * @property {HTMLButtonElement} button
 * @property {HTMLElement} title
 * @property {HTMLElement} figure
 * @property {HTMLImageElement} image
 * @property {HTMLCanvasElement} canvas over the image while the pen moves
 * @property {HTMLElement} text
 * @property {HTMLElement} caption
 */

/** @typedef {{ list: HTMLElement, layers: Map<string, LayerNodes>, listening: AbortController }} Strip */

const MAX_TEXT_REM = 3.5
const INPUT_ID = "input"

/** @type {WeakMap<Node, Strip>} */
const strips = new WeakMap()

/**
 * Compute a font size in rem with which a text fits its figure.
 * @param {string} text
 * @returns {number}
 */
export function textSize(text) {
  return Math.min(MAX_TEXT_REM, 12 / Math.max(1, text.length))
}

/**
 * Create the nodes of a layer, outside of the document.
 * @returns {LayerNodes}
 */
function createLayer() {
  const item = document.createElement("div")
  item.className = "item"
  addElement(item, "span", "arrow", "→").ariaHidden = "true"
  const button = addButton(item, "column")
  const title = addElement(button, "span", "title")
  const figure = addElement(button, "span", "figure")
  const image = addElement(figure, "img", "image")
  image.draggable = false
  const canvas = addElement(figure, "canvas", "live")
  canvas.hidden = true
  canvas.ariaHidden = "true"
  const text = addElement(figure, "span", "text")
  const caption = addElement(button, "span", "caption")
  return { item, button, title, figure, image, canvas, text, caption }
}

/**
 * Assign a property only if it changes, so that the browser does not lay out again.
 * @template {object} Target
 * @template {keyof Target} Name
 * @param {Target} target
 * @param {Name} name
 * @param {Target[Name]} value
 * @returns {void}
 */
function assign(target, name, value) {
  if (target[name] !== value) target[name] = value
}

/**
 * Change the nodes of a layer in place.
 * @param {LayerNodes} nodes
 * @param {Layer} layer
 * @returns {void}
 */
function updateLayer(nodes, layer) {
  assign(nodes.title, "textContent", layer.title)
  assign(nodes.caption, "textContent", layer.caption)
  assign(nodes.text, "textContent", layer.text)
  assign(nodes.text.style, "fontSize", `${textSize(layer.text)}rem`)
  assign(nodes.image, "hidden", layer.image === null)
  assign(nodes.text, "hidden", layer.image !== null)
  assign(nodes.image, "alt", layer.alt)
  // A label replaces the content for a screen reader, so the content goes into the description.
  const content = layer.image === null ? layer.text : layer.alt
  assign(nodes.button, "ariaLabel", `Inspect ${layer.title}`)
  assign(nodes.button, "ariaDescription", [content, layer.caption].filter(Boolean).join(", "))
  assign(nodes.figure.style, "width", `${layer.width}px`)
  assign(nodes.figure.style, "height", `${layer.height}px`)
  if (layer.image === null) nodes.image.removeAttribute("src")
  else if (nodes.image.getAttribute("src") !== layer.image) nodes.image.src = layer.image
}

/**
 * Create a strip that follows live drawing.
 * @param {HTMLElement | ShadowRoot} parentElement
 * @returns {Strip}
 */
function createStrip(parentElement) {
  const listening = new AbortController()
  /** @type {Strip} */
  const strip = { list: addElement(parentElement, "div", "strip"), layers: new Map(), listening }
  /** @type {FeatureMapPainter | null} */
  let painter = null
  const store = getLiveStore()
  const options = { signal: listening.signal }
  store.addEventListener(
    "layers",
    (event) => {
      const { detail } = /** @type {CustomEvent<LiveLayers>} */ (event)
      if (painter?.colors !== detail.colors) painter = new FeatureMapPainter(detail.colors)
      showLive(strip, detail, painter)
    },
    options,
  )
  store.addEventListener("end", () => hideLive(strip), options)
  return strip
}

/**
 * Paint the values of a drawing over the images of the server.
 * @param {Strip} strip
 * @param {LiveLayers} live
 * @param {FeatureMapPainter} painter
 * @returns {void}
 */
function showLive(strip, { layers, layout, prediction }, painter) {
  for (const [id, nodes] of strip.layers) {
    const layer = layers.get(id)
    if (nodes.image.hidden) {
      assign(nodes.text, "textContent", prediction.className)
      assign(nodes.text.style, "fontSize", `${textSize(prediction.className)}rem`)
      assign(nodes.caption, "textContent", prediction.probability)
    } else if (layer) {
      if (id === INPUT_ID) paintImage(nodes.canvas, layer.values, layer.shape, layout.size)
      else {
        painter.paint(nodes.canvas, layer.values, layer.shape, layout)
        assign(nodes.caption, "textContent", describeLayer(layer, layout.maxMaps))
      }
      assign(nodes.canvas, "hidden", false)
    }
  }
}

/**
 * Describe a layer's values below its maps, as `_build_column` in feature_strip.py does.
 * @param {LiveLayer} layer
 * @param {number} maxMaps
 * @returns {string}
 */
function describeLayer({ values, shape }, maxMaps) {
  const shown = arrangeMaps(shape)[0] > maxMaps ? ` · ${maxMaps} shown` : ""
  return `${shape.join("×")} · ${formatPercent(computeZeroShare(values))} zeros${shown}`
}

/**
 * Show the images of the server again.
 * @param {Strip} strip
 * @returns {void}
 */
function hideLive(strip) {
  for (const { canvas } of strip.layers.values()) assign(canvas, "hidden", true)
}

/**
 * Show the layers from left to right; a click sends the id of its layer. Nodes belong to layer ids and are kept, so that
 * images do not flicker and the scroll position stays.
 * @param {ComponentArgs<LayerStripData>} args
 * @returns {() => void}
 */
export default function renderLayerStrip({ data, parentElement, setTriggerValue }) {
  const strip = strips.get(parentElement) ?? createStrip(parentElement)
  strips.set(parentElement, strip)
  const ids = new Set(data.layers.map(({ id }) => id))
  for (const [id, { item }] of strip.layers) {
    if (!ids.has(id)) {
      item.remove()
      strip.layers.delete(id)
    }
  }
  data.layers.forEach((layer, index) => {
    const nodes = strip.layers.get(layer.id) ?? createLayer()
    strip.layers.set(layer.id, nodes)
    updateLayer(nodes, layer)
    nodes.button.onclick = () => setTriggerValue("clicked", layer.id)
    const current = strip.list.children[index] ?? null
    if (current !== nodes.item) strip.list.insertBefore(nodes.item, current)
  })
  return () => {
    strip.listening.abort()
    strip.list.remove()
    strips.delete(parentElement)
  }
}
