import { addElement } from "../../web/views/dom.js"

/** @import { ComponentArgs } from "./lib/streamlit.js" */

/**
 * @typedef {object} Plotly The functions of plotly.js that are used here.
 * @property {(node: HTMLElement, traces: object[], layout: object, config: object) => unknown} react
 * @property {(node: HTMLElement) => void} purge
 */

/** @typedef {{ data: object[], layout?: Record<string, unknown> & { font?: object } }} Figure */

/** @typedef {{ figure: Figure, height: number, library: string }} LiveChartData What components/live_chart.py sends. */

/** @typedef {{ width: number, height: number, isTouch: boolean, border: string, color: string, font: string }} Look */

const CONFIG = { displayModeBar: false, displaylogo: false, doubleClick: "reset" }
const TRANSPARENT = "rgba(0,0,0,0)"

/** @type {WeakMap<Node, Chart>} */
const charts = new WeakMap()

/** @type {Promise<Plotly> | null} Loaded once per browser page, shared by all charts. */
let library = null

/**
 * Resolve a path of the server. Streamlit's own bundle gives the base: right below a base path and behind a proxy's
 * prefix too.
 * @param {string} path
 * @param {string | undefined} bundleUrl `<base>/static/js/<name>.js`
 * @param {string} baseUri of the document, used without a bundle
 * @returns {URL}
 */
export function resolveServerPath(path, bundleUrl, baseUri) {
  return bundleUrl ? new URL(`../../${path}`, bundleUrl) : new URL(path, baseUri)
}

/**
 * Merge a figure's layout with the theme; the layout wins. The constant `uirevision` keeps zoom and hidden traces.
 * @param {NonNullable<Figure["layout"]>} layout
 * @param {Look} look
 * @returns {Record<string, unknown>}
 */
export function themeLayout(layout, { width, height, isTouch, border, color, font }) {
  const axis = { gridcolor: border, zerolinecolor: border }
  return {
    uirevision: "live",
    template: { layout: { xaxis: axis, yaxis: axis } },
    paper_bgcolor: TRANSPARENT,
    plot_bgcolor: TRANSPARENT,
    dragmode: isTouch ? false : "zoom", // a swipe has to scroll the page
    ...layout,
    font: { color, family: font, ...layout.font },
    width,
    height,
  }
}

/**
 * Load plotly.js from the server.
 * @param {string} path
 * @returns {Promise<Plotly>}
 */
async function loadPlotly(path) {
  const bundle = /** @type {HTMLScriptElement | null} */ (document.querySelector('script[src*="static/js/"]'))
  const url = resolveServerPath(path, bundle?.src, document.baseURI)
  // The server sends no expiry date; without force-cache every page load would fetch 4.8 MB.
  const response = await fetch(url, { cache: "force-cache" })
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`)
  const script = document.createElement("script")
  script.src = URL.createObjectURL(await response.blob())
  await new Promise((resolve, reject) => {
    script.onload = resolve
    script.onerror = () => reject(new Error(`${url}: the script cannot be run`))
    document.head.append(script)
  })
  URL.revokeObjectURL(script.src)
  const plotly = /** @type {{ Plotly?: Plotly }} */ (globalThis).Plotly
  if (!plotly) throw new Error(`${url}: the script does not define Plotly`)
  return plotly
}

/** Plotly chart whose node lives as long as its mount; every change goes through Plotly.react. */
class Chart {
  /** @param {HTMLElement | ShadowRoot} parent */
  constructor(parent) {
    this.node = addElement(parent, "div", "live-curve")
    this.isPressed = false
    this.isDrawn = false
    this.frame = 0
    this.width = 0
    /** @type {Plotly | null} */
    this.plotly = null
    this.observer = new ResizeObserver(() => {
      if (this.node.clientWidth !== this.width) this.requestDraw()
    })
    this.observer.observe(this.node)
    // A redraw during a drag would discard the zoom box.
    this.node.addEventListener(
      "pointerdown",
      () => {
        this.isPressed = true
      },
      true,
    )
    this.release = () => {
      if (!this.isPressed) return
      this.isPressed = false
      this.requestDraw()
    }
    window.addEventListener("pointerup", this.release, true)
    window.addEventListener("pointercancel", this.release, true)
  }

  /**
   * Show new data as soon as plotly.js is loaded.
   * @param {LiveChartData} data
   * @returns {Promise<void>}
   */
  async update(data) {
    this.data = data
    this.node.style.height = `${data.height}px`
    library ??= loadPlotly(data.library)
    try {
      this.plotly = await library
      this.requestDraw()
    } catch (error) {
      library = null // the next change of the data tries again
      this.node.textContent = `The chart library could not be loaded: ${error instanceof Error ? error.message : error}`
    }
  }

  /** Draw in the next animation frame. */
  requestDraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0
      this.draw()
    })
  }

  /** Draw, unless the pointer is down or the chart is hidden (in a closed tab it has no width). */
  draw() {
    const { node, data, plotly } = this
    const width = node.clientWidth
    if (!(plotly && data) || this.isPressed || width === 0) return
    if (!this.isDrawn) node.textContent = "" // an error message
    this.isDrawn = true
    this.width = width
    const style = getComputedStyle(node)
    const figure = structuredClone(data.figure) // Plotly writes into its input
    const look = {
      width,
      height: data.height,
      isTouch: matchMedia("(pointer: coarse)").matches,
      border: style.getPropertyValue("--st-border-color"),
      color: style.color,
      font: style.fontFamily,
    }
    plotly.react(node, figure.data, themeLayout(figure.layout ?? {}, look), CONFIG)
  }

  /**
   * Release the chart if it has left the document. Streamlit also calls the cleanup of a run that a newer one replaced.
   * @param {Node} parent
   * @returns {void}
   */
  dispose(parent) {
    setTimeout(() => {
      if (this.node.isConnected) return
      cancelAnimationFrame(this.frame)
      this.observer.disconnect()
      window.removeEventListener("pointerup", this.release, true)
      window.removeEventListener("pointercancel", this.release, true)
      this.plotly?.purge(this.node)
      charts.delete(parent)
    })
  }
}

/**
 * Show a Plotly figure.
 * @param {ComponentArgs<LiveChartData>} args
 * @returns {() => void}
 */
export default function renderLiveChart({ data, parentElement }) {
  const chart = charts.get(parentElement) ?? new Chart(parentElement)
  charts.set(parentElement, chart)
  chart.update(data)
  return () => chart.dispose(parentElement)
}
