// Clickable images, changed in place so that nothing flickers while one looks through time.
const galleries = new WeakMap()

function create(list) {
  const button = element("button", "tile", list)
  button.type = "button"
  const frame = element("span", "frame", button)
  const image = element("img", "", frame)
  const box = element("i", "", frame)
  const caption = element("span", "caption", button)
  return { button, image, box, caption }
}

export default function ({ data, parentElement, setTriggerValue }) {
  let gallery = galleries.get(parentElement)
  if (!gallery) {
    gallery = { list: element("div", "gallery", parentElement), tiles: [] }
    galleries.set(parentElement, gallery)
  }
  gallery.list.style.setProperty("--size", `${data.size}px`)
  while (gallery.tiles.length > data.tiles.length) gallery.tiles.pop().button.remove()
  data.tiles.forEach((entry, place) => {
    const tile = (gallery.tiles[place] ??= create(gallery.list))
    if (tile.image.src !== entry.image) tile.image.src = entry.image
    tile.image.alt = entry.alt
    tile.caption.textContent = entry.caption
    tile.button.className = ["tile", entry.bad && "bad", entry.name === data.chosen && "chosen"].filter(Boolean).join(" ")
    tile.button.ariaLabel = entry.alt
    tile.button.onclick = () => setTriggerValue("clicked", entry.name)
    tile.box.hidden = !entry.box
    tile.box.style.display = entry.box ? "" : "none"
    if (entry.box) {
      const [top, left, bottom, right] = entry.box.map((share) => share * 100)
      Object.assign(tile.box.style, { top: `${top}%`, left: `${left}%`, height: `${bottom - top}%`, width: `${right - left}%` })
    }
  })
}
