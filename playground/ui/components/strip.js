// Strip of clickable layer pictures. Columns are keyed by layer id and changed in place, so
// images do not flicker and the scroll position stays.
const strips = new WeakMap()

const set = (node, name, value) => {
  if (node[name] !== value) node[name] = value
}

function createColumn(onClick) {
  const item = document.createElement("div")
  item.className = "item"
  const arrow = element("span", "arrow", item)
  arrow.textContent = "→"
  arrow.ariaHidden = "true"
  const button = element("button", "column", item)
  button.type = "button"
  button.onclick = onClick
  const title = element("span", "title", button)
  const figure = element("span", "figure", button)
  const image = element("img", "image", figure)
  image.draggable = false
  const text = element("span", "text", figure)
  const caption = element("span", "caption", button)
  return { item, button, title, figure, image, text, caption }
}

function updateColumn(column, { title, caption, image, width, height, alt, text }) {
  set(column.title, "textContent", title)
  set(column.caption, "textContent", caption)
  set(column.text, "textContent", text)
  set(column.text.style, "fontSize", `${Math.min(3.5, 12 / Math.max(1, text.length))}rem`)
  set(column.image, "hidden", !image)
  set(column.text, "hidden", Boolean(image))
  set(column.image, "alt", alt)
  // The label replaces the content for a screen reader, so the content goes into the description.
  set(column.button, "ariaLabel", `Look inside ${title}`)
  set(column.button, "ariaDescription", [image ? alt : text, caption].filter(Boolean).join(", "))
  set(column.figure.style, "width", `${width}px`)
  set(column.figure.style, "height", `${height}px`)
  if (!image) column.image.removeAttribute("src")
  else if (column.image.getAttribute("src") !== image) column.image.src = image
}

export default function ({ data, parentElement, setTriggerValue }) {
  let strip = strips.get(parentElement)
  if (!strip) {
    strip = { list: element("div", "strip", parentElement), columns: new Map() }
    strips.set(parentElement, strip)
  }
  strip.click = (id) => setTriggerValue("clicked", id)
  const { list, columns } = strip
  const wanted = new Set(data.columns.map((entry) => entry.id))
  for (const [id, column] of columns) {
    if (wanted.has(id)) continue
    column.item.remove()
    columns.delete(id)
  }
  data.columns.forEach((entry, index) => {
    const column = columns.get(entry.id) ?? createColumn(() => strip.click(entry.id))
    columns.set(entry.id, column)
    updateColumn(column, entry)
    const place = list.children[index] ?? null
    if (place !== column.item) list.insertBefore(column.item, place)
  })
}
