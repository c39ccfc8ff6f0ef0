import { addButton, addElement, joinClasses } from "../../web/views/dom.js"

/** @import { ComponentArgs } from "./lib/streamlit.js" */

/** @typedef {[top: number, left: number, bottom: number, right: number]} Box Shares of the image's sides. */

/**
 * @typedef {object} Tile
 * @property {string} name sent back by a click
 * @property {string} image URL
 * @property {string} caption
 * @property {string} alt
 * @property {boolean} isBad emphasizes the caption
 * @property {Box | null} box outlined part of the image
 */

/**
 * @typedef {object} GalleryData What components/gallery.py sends.
 * @property {number} size CSS pixels
 * @property {string | null} selected name of a tile
 * @property {Tile[]} tiles
 */

/**
 * @typedef {object} TileNodes
 * @property {HTMLButtonElement} button
 * @property {HTMLImageElement} image
 * @property {HTMLElement} box
 * @property {HTMLElement} caption
 */

/** @typedef {{ list: HTMLElement, tiles: TileNodes[] }} Gallery */

/** @type {WeakMap<Node, Gallery>} */
const galleries = new WeakMap()

/**
 * Append an empty tile.
 * @param {HTMLElement} list
 * @returns {TileNodes}
 */
function createTile(list) {
  const button = addButton(list, "tile")
  const frame = addElement(button, "span", "frame")
  const image = addElement(frame, "img")
  const box = addElement(frame, "i")
  const caption = addElement(button, "span", "caption")
  return { button, image, box, caption }
}

/**
 * Compute the CSS of a box.
 * @param {Box} box
 * @returns {Record<"top" | "left" | "width" | "height", string>}
 */
export function boxStyle([top, left, bottom, right]) {
  const percent = (/** @type {number} */ share) => `${share * 100}%`
  return { top: percent(top), left: percent(left), width: percent(right - left), height: percent(bottom - top) }
}

/**
 * Change a tile in place. An unchanged image is not loaded again, so that nothing flickers.
 * @param {TileNodes} nodes
 * @param {Tile} tile
 * @param {boolean | null} isSelected null where no tile can be selected
 * @returns {void}
 */
function updateTile({ button, image, box, caption }, tile, isSelected) {
  if (image.src !== tile.image) image.src = tile.image
  image.alt = tile.alt
  caption.textContent = tile.caption
  button.className = joinClasses("tile", tile.isBad && "bad", isSelected && "chosen")
  button.ariaLabel = tile.alt
  button.ariaPressed = isSelected === null ? null : String(isSelected)
  box.hidden = tile.box === null
  if (tile.box) Object.assign(box.style, boxStyle(tile.box))
}

/**
 * Show images with captions; a click sends the name of its tile.
 * @param {ComponentArgs<GalleryData>} args
 * @returns {void}
 */
export default function renderGallery({ data, parentElement, setTriggerValue }) {
  /** @type {Gallery} */
  const gallery = galleries.get(parentElement) ?? { list: addElement(parentElement, "div", "gallery"), tiles: [] }
  galleries.set(parentElement, gallery)
  gallery.list.style.setProperty("--size", `${data.size}px`)
  for (const { button } of gallery.tiles.splice(data.tiles.length)) button.remove()
  data.tiles.forEach((tile, index) => {
    gallery.tiles[index] ??= createTile(gallery.list)
    const nodes = gallery.tiles[index]
    updateTile(nodes, tile, data.selected === null ? null : tile.name === data.selected)
    nodes.button.onclick = () => setTriggerValue("clicked", tile.name)
  })
}
