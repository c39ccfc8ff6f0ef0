// One layer under the microscope: its maps, and the arithmetic behind the chosen value, on the values that torch gave.
// Everything that the pointer does is answered here; only another channel is asked of the server.
const scopes = new WeakMap()
const STAGE = 150
const SPEEDS = [["slow", 1], ["normal", 5], ["fast", 25]]
const number = (value) => {
  const size = Math.abs(value)
  if (!Number.isFinite(value)) return String(value)
  return size !== 0 && (size < 0.001 || size >= 1e5) ? value.toExponential(2) : value.toFixed(size < 10 ? 4 : 2)
}
const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)).replace("-", "−")


// The colour of a value, as in the pictures that the server makes.
function colourOf(palette, low, high, value) {
  const level = Math.round(Math.min(255, Math.max(0, ((value - low) * 255) / Math.max(high - low, 1e-12))))
  return [palette[level * 3], palette[level * 3 + 1], palette[level * 3 + 2]]
}
const extent = (values) => {
  let most = 1e-12
  for (const value of values) most = Math.max(most, Math.abs(value))
  return most
}
const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`
const ink = ([red, green, blue]) => (red * 0.299 + green * 0.587 + blue * 0.114 > 140 ? "#111" : "#fff")

function paint(canvas, values, offset, height, width, palette, low, high) {
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext("2d")
  const picture = context.createImageData(width, height)
  for (let place = 0; place < height * width; place++) {
    const [red, green, blue] = colourOf(palette, low, high, values[offset + place])
    picture.data.set([red, green, blue, 255], place * 4)
  }
  context.putImageData(picture, 0, 0)
}

function createMap(parent, title) {
  const stage = element("div", "stage", parent)
  const name = element("div", "name", stage, title)
  const map = element("div", "map", stage)
  const canvas = element("canvas", "", map)
  const box = element("div", "box", map)
  const note = element("div", "note", stage)
  return { stage, name, map, canvas, box, note }
}

function sizeMap(view, height, width, most = STAGE) {
  const scale = most / Math.max(height, width)
  view.map.style.width = `${Math.max(12, Math.round(width * scale))}px`
  view.map.style.height = `${Math.max(12, Math.round(height * scale))}px`
}

function placeBox(view, [top, left, bottom, right], height, width) {
  view.box.hidden = bottom <= top || right <= left
  Object.assign(view.box.style, {
    top: `${(top / height) * 100}%`, left: `${(left / width) * 100}%`,
    width: `calc(${((right - left) / width) * 100}% - 4px)`, height: `calc(${((bottom - top) / height) * 100}% - 4px)`,
    minWidth: "1px", minHeight: "1px",
  })
}

function create(parent) {
  const root = element("div", "scope", parent)
  const scope = { root, place: { row: 0, column: 0 }, term: 0, timer: null, speed: 1 }
  scope.bench = element("div", "bench", root)
  scope.input = createMap(scope.bench, "input")
  scope.signOne = element("div", "sign", scope.bench, "→")
  scope.below = createMap(scope.bench, "")
  scope.work = element("div", "bench", scope.bench)
  scope.output = createMap(scope.bench, "")
  scope.output.map.classList.add("live")
  scope.output.map.tabIndex = 0
  scope.output.map.role = "application"
  scope.barsName = element("div", "note", root)
  scope.bars = element("div", "bars", root)
  scope.sum = element("div", "sum", root)
  scope.sum.role = "status"
  scope.tools = element("div", "tools", root)
  scope.gridHint = element("div", "note", root)
  scope.grid = element("div", "grid", root)
  scope.gridInner = element("div", "inner", scope.grid)
  scope.image = element("img", "", scope.gridInner)
  scope.image.draggable = false
  scope.marker = element("div", "box", scope.gridInner)
  scope.tip = element("div", "tip", scope.gridInner)
  scope.tip.hidden = true
  buildTools(scope)
  listen(scope)
  return scope
}

function buildTools(scope) {
  scope.play = element("button", "", scope.tools, "Play")
  scope.play.title = "Move across the map, place by place"
  scope.play.onclick = () => (scope.timer ? stop(scope) : start(scope))
  scope.step = element("button", "", scope.tools, "Step")
  scope.step.onclick = () => { stop(scope); advance(scope) }
  scope.faster = element("button", "", scope.tools, SPEEDS[1][0])
  scope.faster.title = "Speed"
  scope.faster.onclick = () => {
    scope.speed = (scope.speed + 1) % SPEEDS.length
    scope.faster.textContent = SPEEDS[scope.speed][0]
    if (scope.timer) { stop(scope); start(scope) }
  }
  scope.where = element("span", "note", scope.tools)
}

function start(scope) {
  scope.play.textContent = "Pause"
  scope.timer = setInterval(() => (scope.root.isConnected ? advance(scope) : stop(scope)), 1000 / SPEEDS[scope.speed][1])
}
function stop(scope) {
  clearInterval(scope.timer)
  scope.timer = null
  scope.play.textContent = "Play"
}
function advance(scope) {
  const [height, width] = scope.data.detail.shape
  const next = (scope.place.row * width + scope.place.column + 1) % (height * width)
  scope.place = { row: Math.floor(next / width), column: next % width }
  show(scope)
}

function listen(scope) {
  const view = scope.output.map
  const under = (event) => {
    const area = view.getBoundingClientRect()
    const [height, width] = scope.data.detail.shape
    const row = Math.floor(((event.clientY - area.top) / area.height) * height)
    const column = Math.floor(((event.clientX - area.left) / area.width) * width)
    return { row: Math.min(height - 1, Math.max(0, row)), column: Math.min(width - 1, Math.max(0, column)) }
  }
  view.onpointermove = (event) => {
    if (scope.timer || (event.pointerType !== "mouse" && !event.buttons)) return
    scope.place = under(event)
    show(scope)
  }
  view.onpointerleave = () => { if (!scope.timer && scope.pinned) { scope.place = scope.pinned; show(scope) } }
  view.onclick = (event) => { stop(scope); scope.place = under(event); pin(scope) }
  view.onkeydown = (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }
    const move = moves[event.key]
    if (!move) return
    event.preventDefault()
    const [height, width] = scope.data.detail.shape
    scope.place = {
      row: Math.min(height - 1, Math.max(0, scope.place.row + move[0])),
      column: Math.min(width - 1, Math.max(0, scope.place.column + move[1])),
    }
    scope.pinned = scope.place
    show(scope)
  }
  scope.gridInner.onpointermove = (event) => hoverGrid(scope, event)
  scope.gridInner.onpointerleave = () => { scope.tip.hidden = true }
  scope.gridInner.onclick = (event) => {
    const found = gridPlace(scope, event)
    if (!found) return
    stop(scope)
    scope.place = { row: found.row, column: found.column }
    if (found.channel === scope.data.channel) pin(scope)
    else { scope.pinned = scope.place; scope.choose(found) }
  }
}

function pin(scope) {
  scope.pinned = scope.place
  show(scope)
  scope.choose({ channel: scope.data.channel, ...scope.place })
}

function gridPlace(scope, event) {
  const { grid } = scope.data
  const area = scope.image.getBoundingClientRect()
  const x = ((event.clientX - area.left) / area.width) * grid.width
  const y = ((event.clientY - area.top) / area.height) * grid.height
  let across = Math.floor(x / grid.tile_width), down = Math.floor(y / grid.tile_height)
  const row = Math.floor((y - down * grid.tile_height) / grid.block)
  const column = Math.floor((x - across * grid.tile_width) / grid.block)
  if (row < 0 || column < 0 || row >= grid.rows_of_map || column >= grid.columns_of_map) return null
  if (grid.is_vector) {
    const unit = row * grid.columns_of_map + column
    return unit < grid.count ? { channel: unit, row: 0, column: 0, value: scope.values?.[unit] } : null
  }
  const channel = down * grid.columns + across
  if (channel >= grid.count) return null
  const place = (channel * grid.rows_of_map + row) * grid.columns_of_map + column
  return { channel: grid.first + channel, row, column, value: scope.values?.[place] }
}

function hoverGrid(scope, event) {
  const found = gridPlace(scope, event)
  scope.tip.hidden = !found
  if (!found) return
  const where = scope.data.grid.is_vector ? `value ${found.channel + 1}` : `map ${found.channel + 1}, row ${found.row + 1}, column ${found.column + 1}`
  scope.tip.textContent = found.value === undefined ? where : `${where}: ${number(found.value)}`
  const area = scope.gridInner.getBoundingClientRect()
  const x = event.clientX - area.left
  scope.tip.style.left = `${Math.max(0, Math.min(x + 12, area.width - scope.tip.offsetWidth))}px`
  scope.tip.style.top = `${event.clientY - area.top + 16}px`
}

// The arithmetic, in the same order as interpret/activations/arithmetic.py.
function corner(detail, { row, column }) {
  return [row * detail.stride - detail.padding[0], column * detail.stride - detail.padding[1]]
}

function term(detail, place, which) {
  const [, height, width] = detail.below_shape
  const [rows, columns] = detail.kernel_size
  const [top, left] = corner(detail, place)
  const cells = []
  let total = 0, best = -Infinity, bestPlace = -1
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const y = top + i * detail.dilation, x = left + j * detail.dilation
      const inside = y >= 0 && y < height && x >= 0 && x < width
      const value = inside ? detail.below[(which * height + y) * width + x] : 0
      const weight = detail.weights ? detail.weights[(which * rows + i) * columns + j] : 1
      if (inside && value > best) { best = value; bestPlace = cells.length }
      total += value * weight
      cells.push({ value, weight, product: value * weight, inside })
    }
  }
  return { cells, total: detail.rule === "largest" ? best : total, best: bestPlace, columns }
}

function totalOf(detail, terms) {
  const added = terms.reduce((sum, one) => sum + one.total, 0)
  if (detail.rule === "mean") return added / (detail.kernel_size[0] * detail.kernel_size[1])
  if (detail.rule === "scale") {
    const { mean, variance, eps, scale, shift } = detail.numbers
    return ((added - mean) / Math.sqrt(variance + eps)) * scale + shift
  }
  return added + (detail.bias ?? 0)
}

function cellGrid(parent, title, values, columns, cellColour, { inside, best, label }) {
  const stage = element("div", "stage", parent)
  element("div", "name", stage, title)
  const isRow = columns === values.length && columns > 8
  const wide = isRow ? Math.ceil(Math.sqrt(values.length)) : columns
  const rows = Math.ceil(values.length / wide)
  // On a phone, patch, kernel and products stand in one row.
  const room = Math.min(STAGE, (parent.closest(".scope").clientWidth - 64) / 3)
  const cell = Math.max(3, Math.min(38, Math.floor(room / Math.max(wide, rows)) - 1))
  const cells = element("div", "cells", stage)
  cells.style.gridTemplateColumns = `repeat(${wide}, var(--cell))`
  cells.style.setProperty("--cell", `${cell}px`)
  cells.style.setProperty("--font", cell >= 34 ? "11px" : cell >= 28 ? "9.5px" : "8px")
  cells.role = "img"
  cells.ariaLabel = `${title}: ${values.slice(0, 49).map((value) => short(value)).join(", ")}`
  values.forEach((value, place) => {
    const node = element("span", inside && !inside[place] ? "out" : place === best ? "best" : "", cells)
    const colour = cellColour(value)
    node.style.background = css(colour)
    node.style.color = ink(colour)
    if (cell >= 24) node.textContent = label ? label(value) : short(value)
    node.title = inside && !inside[place] ? "padding: 0" : String(value)
  })
}

function show(scope) {
  const { detail, palettes } = scope.data
  const place = scope.place
  const terms = []
  for (let which = 0; which < detail.below_shape[0]; which++) terms.push(term(detail, place, which))
  scope.term = Math.min(scope.term, terms.length - 1)
  showMaps(scope, terms)
  showWork(scope, terms[scope.term], palettes)
  showBars(scope, terms)
  showSum(scope, terms)
}

function showMaps(scope, terms) {
  const { detail, palettes, grid } = scope.data
  const { row, column } = scope.place
  const [channels, height, width] = detail.below_shape
  const [top, left] = corner(detail, scope.place)
  const [rows, columns] = detail.kernel_size.map((size) => detail.dilation * (size - 1) + 1)
  const [imageHeight, imageWidth] = detail.image_shape
  const [seenTop, seenBottom] = detail.seen_rows[row], [seenLeft, seenRight] = detail.seen_columns[column]
  placeBox(scope.input, [seenTop, seenLeft, seenBottom, seenRight], imageHeight, imageWidth)
  scope.below.stage.hidden = height * width === 1
  scope.signOne.hidden = scope.below.stage.hidden || detail.below_is_input
  const which = scope.term
  if (scope.shownTerm !== which) {
    const part = detail.below.subarray(which * height * width, (which + 1) * height * width)
    let low = 0, high = 1e-12
    for (const value of detail.below) { low = Math.min(low, value); high = Math.max(high, value) }
    const diverging = low < 0
    const most = Math.max(-low, high)
    paint(scope.below.canvas, part, 0, height, width, detail.below_is_input ? palettes.ink : diverging ? palettes.diverging : palettes.sequential, detail.below_is_input ? 0 : diverging ? -most : 0, detail.below_is_input ? 1 : most)
    sizeMap(scope.below, height, width)
    scope.below.name.replaceChildren()
    if (channels > 1) {
      const back = element("button", "", scope.below.name, "‹"), on = document.createElement("button")
      back.ariaLabel = "previous channel below"
      on.textContent = "›"
      on.ariaLabel = "next channel below"
      back.onclick = () => { scope.term = (scope.term + channels - 1) % channels; show(scope) }
      on.onclick = () => { scope.term = (scope.term + 1) % channels; show(scope) }
      element("span", "", scope.below.name, detail.terms?.[which] ?? `${detail.below_title}, channel ${detail.first_below + which + 1}`)
      scope.below.name.append(on)
    } else scope.below.name.textContent = detail.below_is_input ? "input" : `${detail.below_title}, channel ${detail.first_below + 1}`
    scope.shownTerm = which
  }
  placeBox(scope.below, [Math.max(0, top), Math.max(0, left), Math.min(height, top + rows), Math.min(width, left + columns)], height, width)
  const [ownHeight, ownWidth] = detail.shape
  placeBox(scope.output, [row, column, row + 1, column + 1], ownHeight, ownWidth)
  scope.where.textContent = ownHeight * ownWidth > 1 ? `row ${row + 1}, column ${column + 1} of ${ownHeight}×${ownWidth}` : ""
  showMarker(scope, grid, row, column)
}

function showMarker(scope, grid, row, column) {
  const shown = grid.is_vector ? scope.data.channel : scope.data.channel - grid.first
  scope.marker.hidden = shown < 0 || shown >= grid.count
  const [y, x] = grid.is_vector
    ? [Math.floor(shown / grid.columns_of_map) * grid.block, (shown % grid.columns_of_map) * grid.block]
    : [Math.floor(shown / grid.columns) * grid.tile_height + row * grid.block, (shown % grid.columns) * grid.tile_width + column * grid.block]
  const size = Math.max(grid.block, 6)
  Object.assign(scope.marker.style, {
    top: `${y + (grid.block - size) / 2 - 2}px`, left: `${x + (grid.block - size) / 2 - 2}px`, width: `${size}px`, height: `${size}px`,
  })
}

function showWork(scope, one, palettes) {
  const { detail } = scope.data
  scope.work.replaceChildren()
  const inside = one.cells.map((cell) => cell.inside)
  const belowMost = extent(detail.below)
  const values = (value) => colourOf(palettes.diverging, -belowMost, belowMost, value)
  const patch = one.cells.map((cell) => cell.value)
  if (detail.rule === "same" || detail.rule === "function" || detail.rule === "scale" || detail.rule === "add") return
  cellGrid(scope.work, "patch", patch, one.columns, values, { inside, best: detail.rule === "largest" ? one.best : -1 })
  if (detail.weights) {
    const weightMost = extent(detail.weights), products = one.cells.map((cell) => cell.product)
    const productMost = Math.max(extent(products), belowMost * weightMost * 0.1)
    element("div", "sign", scope.work, "×")
    cellGrid(scope.work, "kernel", one.cells.map((cell) => cell.weight), one.columns, (value) => colourOf(palettes.diverging, -weightMost, weightMost, value), {})
    element("div", "sign", scope.work, "=")
    cellGrid(scope.work, "products", products, one.columns, (value) => colourOf(palettes.diverging, -productMost, productMost, value), { inside })
  }
  element("div", "sign", scope.work, "→")
}

function showBars(scope, terms) {
  const { detail } = scope.data
  const many = terms.length > 1
  scope.bars.hidden = scope.barsName.hidden = !many
  if (!many) return
  scope.barsName.textContent = detail.terms
    ? "What the two ways add: the stack inside the block, and the way around it"
    : `What each of the ${terms.length} channels below adds; click one to see its patch`
  const most = Math.max(1e-12, ...terms.map((one) => Math.abs(one.total)))
  while (scope.bars.children.length > terms.length) scope.bars.lastChild.remove()
  terms.forEach((one, which) => {
    let bar = scope.bars.children[which]
    if (!bar) {
      bar = element("button", "", scope.bars)
      element("i", "", bar)
      bar.onclick = () => { scope.term = which; show(scope) }
    }
    bar.className = which === scope.term ? "on" : ""
    bar.title = bar.ariaLabel = `${detail.terms?.[which] ?? `channel ${detail.first_below + which + 1}`}: ${number(one.total)}`
    const share = (Math.abs(one.total) / most) * 50
    Object.assign(bar.firstChild.style, {
      height: `${share}%`, top: one.total >= 0 ? `${50 - share}%` : "50%",
      background: one.total >= 0 ? "rgb(200 95 45)" : "rgb(60 125 190)",
    })
  })
}

function showSum(scope, terms) {
  const { detail, titles } = scope.data
  const total = totalOf(detail, terms)
  const added = terms.reduce((sum, one) => sum + one.total, 0)
  const after = detail.after[scope.place.row * detail.shape[1] + scope.place.column]
  scope.sum.replaceChildren()
  const say = (text) => element("span", "", scope.sum, text)
  const tell = (value, className) => {
    const node = element("b", className, scope.sum, number(value).replace("-", "−"))
    node.dataset.value = String(value)
  }
  if (detail.rule === "sum") {
    say(terms.length > 1 ? `products of ${terms.length} channels add up to` : "products add up to")
    tell(added, "added")
    if (detail.bias !== null) { say("+ bias"); tell(detail.bias, "bias"); say("="); tell(total, "total") }
  } else if (detail.rule === "largest") { say("the largest value of the window is"); tell(total, "total") }
  else if (detail.rule === "mean") { say(`the values add up to`); tell(added, "added"); say(`÷ ${detail.kernel_size[0] * detail.kernel_size[1]} =`); tell(total, "total") }
  else if (detail.rule === "scale") {
    const { mean, variance, eps, scale, shift } = detail.numbers
    say("("); tell(added, "added"); say("− mean"); tell(mean, "mean"); say(") ÷ √(variance"); tell(variance, "variance"); say("+ ε"); tell(eps, "eps"); say(") × scale"); tell(scale, "scale"); say("+ shift"); tell(shift, "shift"); say("="); tell(total, "total")
  } else if (detail.rule === "add") { say("the stack gives"); tell(terms[0].total, "added"); say("+ the way around"); tell(terms[1].total, "bias"); say("="); tell(total, "total") }
  else { say("the value below is"); tell(total, "total") }
  if (detail.activation !== "none") { say(`→ ${titles.activation} →`); tell(after, "result") }
  else { say("→"); tell(after, "result") }
}

function update(scope, data) {
  const fresh = scope.data?.token !== data.token
  const other = scope.data?.channel !== data.channel || scope.data?.layer !== data.layer
  if (fresh) {
    const detail = { ...data.detail }
    for (const name of ["below", "weights", "after", "shown", "image"]) detail[name] = floats(data.detail[name])
    // What is not finite comes as a word.
    if (detail.bias !== null) detail.bias = Number(detail.bias)
    detail.numbers = Object.fromEntries(Object.entries(detail.numbers).map(([name, value]) => [name, Number(value)]))
    const palettes = Object.fromEntries(Object.entries(data.palettes).map(([name, text]) => [name, bytes(text)]))
    scope.values = floats(data.grid.values) ?? undefined
    scope.data = { ...data, detail, palettes }
    scope.shownTerm = undefined
    const given = data.place.join()
    if (other || (given !== scope.given && !scope.timer)) {
      stop(scope)
      scope.place = { row: data.place[0], column: data.place[1] }
      if (data.layer !== scope.layer) scope.term = 0
      scope.layer = data.layer
      scope.given = given
    }
    const [height, width] = detail.shape
    scope.place = { row: Math.min(scope.place.row, height - 1), column: Math.min(scope.place.column, width - 1) }
    scope.pinned = scope.place
    const { image_shape: [imageHeight, imageWidth] } = detail
    paint(scope.input.canvas, detail.image, 0, imageHeight, imageWidth, palettes.ink, 0, 1)
    sizeMap(scope.input, imageHeight, imageWidth)
    scope.input.note.textContent = "what the value sees"
    paint(scope.output.canvas, detail.shown, 0, height, width, palettes[detail.palette], detail.low, detail.high)
    sizeMap(scope.output, height, width, height * width === 1 ? 44 : STAGE)
    scope.output.name.textContent = data.titles.output
    scope.output.map.ariaLabel = `${data.titles.output}: arrow keys move the chosen value`
    scope.output.note.textContent = height * width > 1 ? "move over it, or click" : ""
    scope.play.hidden = scope.step.hidden = scope.faster.hidden = height * width === 1
    const { grid } = data
    scope.image.src = grid.png
    scope.image.alt = grid.alt
    scope.image.width = grid.width
    scope.image.height = grid.height
    scope.gridInner.style.width = `${grid.width}px`
    scope.gridHint.textContent = data.titles.grid
    scope.input.stage.hidden = data.detail.below_is_input
  }
  show(scope)
}

export default function ({ data, parentElement, setStateValue }) {
  let scope = scopes.get(parentElement)
  if (!scope) {
    scope = create(parentElement)
    scopes.set(parentElement, scope)
  }
  scope.choose = ({ channel, row, column }) => setStateValue("place", [channel, row, column])
  update(scope, data)
  return () => stop(scope)
}
