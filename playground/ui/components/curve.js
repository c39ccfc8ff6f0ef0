// Live Plotly chart. One <div> per mount lives as long as the mount; every data change goes
// through Plotly.react, so zoom and hidden traces survive (uirevision) and nothing flickers.
const CONFIG = { displayModeBar: false, displaylogo: false, doubleClick: "reset" }
const CLEAR = "rgba(0,0,0,0)"
const charts = new WeakMap()
let library = null // promise of Plotly: loaded once per browser page, shared by all charts

async function loadPlotly(path) {
  // Start from Streamlit's own bundle: right with a base path and behind a proxy prefix too.
  const bundle = document.querySelector('script[src*="static/js/"]')
  const url = bundle ? new URL(`../../${path}`, bundle.src) : new URL(path, document.baseURI)
  // The server sends no expiry date; without force-cache every page load would fetch 4.8 MB.
  const response = await fetch(url, { cache: "force-cache" })
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`)
  const script = document.createElement("script")
  script.src = URL.createObjectURL(await response.blob())
  await new Promise((resolve, reject) => {
    script.onload = resolve
    script.onerror = reject
    document.head.append(script)
  })
  URL.revokeObjectURL(script.src)
  if (!window.Plotly?.react) throw new Error(`${url}: no Plotly in it`)
  return window.Plotly
}

class Chart {
  constructor(mount) {
    this.node = document.createElement("div")
    this.node.className = "live-curve"
    mount.append(this.node)
    this.pressed = false
    this.frame = 0
    this.width = 0
    this.observer = new ResizeObserver(() => {
      if (this.node.clientWidth !== this.width) this.request()
    })
    this.observer.observe(this.node)
    // A redraw in the middle of a drag would throw the zoom box away: wait for the release.
    this.node.addEventListener("pointerdown", () => { this.pressed = true }, true)
    this.release = () => {
      if (!this.pressed) return
      this.pressed = false
      this.request()
    }
    window.addEventListener("pointerup", this.release, true)
    window.addEventListener("pointercancel", this.release, true)
  }

  show(data) {
    this.data = data
    this.node.style.height = `${data.height}px`
    library ??= loadPlotly(data.library)
    library.then(
      (plotly) => { this.plotly = plotly; this.request() },
      (error) => {
        library = null // the next data change tries again
        this.node.textContent = `Chart library not loaded (${error.message ?? "script error"})`
      },
    )
  }

  request() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw() })
  }

  draw() {
    const width = this.node.clientWidth
    if (!this.plotly || this.pressed || !width) return // a hidden tab has no width: drawn when shown
    if (!this.node._fullLayout) this.node.textContent = ""
    this.width = width
    const style = getComputedStyle(this.node)
    const { data, layout = {} } = structuredClone(this.data.figure) // Plotly writes into its input
    const border = style.getPropertyValue("--st-border-color")
    const axis = { gridcolor: border, zerolinecolor: border }
    const touch = matchMedia("(pointer: coarse)").matches
    this.plotly.react(this.node, data, {
      uirevision: "live",
      template: { layout: { xaxis: axis, yaxis: axis } },
      paper_bgcolor: CLEAR,
      plot_bgcolor: CLEAR,
      dragmode: touch ? false : "zoom", // on a phone a swipe has to scroll the page
      ...layout,
      font: { color: style.color, family: style.fontFamily, ...layout.font },
      width,
      height: this.data.height,
    }, CONFIG)
  }

  // Streamlit also calls the cleanup of a run that a newer one overtook: look if we are really gone.
  dispose(mount) {
    setTimeout(() => {
      if (this.node.isConnected) return
      cancelAnimationFrame(this.frame)
      this.observer.disconnect()
      window.removeEventListener("pointerup", this.release, true)
      window.removeEventListener("pointercancel", this.release, true)
      this.plotly?.purge(this.node)
      charts.delete(mount)
    })
  }
}

export default function ({ data, parentElement }) {
  const chart = charts.get(parentElement) ?? new Chart(parentElement)
  charts.set(parentElement, chart)
  chart.show(data)
  return () => chart.dispose(parentElement)
}
