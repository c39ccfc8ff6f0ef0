// A map of images as points on one canvas, with the image under the pointer.
const maps = new WeakMap()
const POINT = 3

function create(parent) {
  const root = element("div", "scatter", parent)
  const map = { root, key: element("div", "key", root), canvas: element("canvas", "", root), tip: element("div", "tip", root), off: new Set() }
  map.picture = element("i", "", map.tip)
  map.words = element("span", "", map.tip)
  map.tip.hidden = true
  map.canvas.role = "img"
  map.canvas.onpointermove = (event) => hover(map, event)
  map.canvas.onpointerleave = () => { map.tip.hidden = true }
  map.canvas.onclick = (event) => { const found = nearest(map, event); if (found >= 0) map.choose(found) }
  new ResizeObserver(() => map.data && draw(map)).observe(map.canvas)
  return map
}

function draw(map) {
  const { data, canvas } = map
  const ratio = window.devicePixelRatio || 1
  const width = canvas.clientWidth, height = data.height
  canvas.style.height = `${height}px`
  canvas.width = width * ratio
  canvas.height = height * ratio
  const context = canvas.getContext("2d")
  context.scale(ratio, ratio)
  const bounds = [Infinity, Infinity, -Infinity, -Infinity]
  const all = [...map.points, ...(data.star ?? [])]
  for (let place = 0; place < all.length; place += 2) {
    bounds[0] = Math.min(bounds[0], all[place]); bounds[1] = Math.min(bounds[1], all[place + 1])
    bounds[2] = Math.max(bounds[2], all[place]); bounds[3] = Math.max(bounds[3], all[place + 1])
  }
  const scale = Math.min((width - 32) / Math.max(1e-9, bounds[2] - bounds[0]), (height - 32) / Math.max(1e-9, bounds[3] - bounds[1]))
  const at = (x, y) => [width / 2 + (x - (bounds[0] + bounds[2]) / 2) * scale, height / 2 - (y - (bounds[1] + bounds[3]) / 2) * scale]
  map.places = []
  for (let number = 0; number < map.groups.length; number++) {
    const place = at(map.points[number * 2], map.points[number * 2 + 1])
    map.places.push(place)
    if (map.off.has(map.groups[number])) continue
    context.fillStyle = data.colours[map.groups[number] % data.colours.length]
    context.globalAlpha = 0.8
    context.beginPath()
    context.arc(place[0], place[1], POINT, 0, 7)
    context.fill()
  }
  context.globalAlpha = 1
  if (data.star) {
    const [x, y] = at(...data.star)
    context.beginPath()
    for (let corner = 0; corner < 10; corner++) {
      const radius = corner % 2 ? 5 : 12, angle = (corner * Math.PI) / 5 - Math.PI / 2
      context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle))
    }
    context.closePath()
    context.fillStyle = "#f59e0b"
    context.strokeStyle = "#000"
    context.lineWidth = 1.5
    context.fill()
    context.stroke()
  }
}

function nearest(map, event) {
  const area = map.canvas.getBoundingClientRect()
  const [x, y] = [event.clientX - area.left, event.clientY - area.top]
  let best = -1, least = 14 * 14
  map.places?.forEach(([left, top], number) => {
    const distance = (left - x) ** 2 + (top - y) ** 2
    if (distance < least && !map.off.has(map.groups[number])) [best, least] = [number, distance]
  })
  return best
}

function hover(map, event) {
  const found = nearest(map, event)
  map.tip.hidden = found < 0
  if (found < 0) return
  const { tile: [width, height], columns, sprite, captions } = map.data
  const zoom = Math.max(1, Math.round(64 / Math.max(width, height)))
  Object.assign(map.picture.style, {
    width: `${width * zoom}px`, height: `${height * zoom}px`, backgroundImage: `url(${sprite})`,
    backgroundSize: `${columns * width * zoom}px auto`,
    backgroundPosition: `-${(found % columns) * width * zoom}px -${Math.floor(found / columns) * height * zoom}px`,
  })
  map.words.textContent = captions[found]
  const [x, y] = map.places[found]
  map.tip.style.left = `${Math.max(0, Math.min(x + 12, map.canvas.clientWidth - map.tip.offsetWidth))}px`
  map.tip.style.top = `${map.canvas.offsetTop + y + 12}px`
}

export default function ({ data, parentElement, setTriggerValue }) {
  let map = maps.get(parentElement)
  if (!map) {
    map = create(parentElement)
    maps.set(parentElement, map)
  }
  map.choose = (number) => setTriggerValue("clicked", number)
  map.points = new Float32Array(bytes(data.points).buffer)
  map.groups = bytes(data.groups)
  if (map.data?.names.join() !== data.names.join()) map.off.clear()
  map.data = data
  map.canvas.ariaLabel = `A map of ${map.groups.length} images`
  map.key.replaceChildren()
  data.names.forEach((name, group) => {
    const button = element("button", map.off.has(group) ? "off" : "", map.key)
    element("i", "", button).style.background = data.colours[group % data.colours.length]
    element("span", "", button, name)
    button.title = "Show or hide"
    button.onclick = () => {
      if (!map.off.delete(group)) map.off.add(group)
      button.className = map.off.has(group) ? "off" : ""
      draw(map)
    }
  })
  draw(map)
}
