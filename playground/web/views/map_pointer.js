import { moveByKey, positionAt } from "./map_positions.js"

/** @import { Position } from "./arithmetic.js" */
/** @import { Shape } from "./map_positions.js" */

/**
 * @typedef {object} MapEvents
 * @property {() => Position} getPosition the selected position, which arrow keys move from
 * @property {() => Shape} getShape of the map
 * @property {(position: Position) => void} onPoint
 * @property {() => void} onLeave
 * @property {(position: Position) => void} onClick
 * @property {(position: Position) => void} onKey
 */

/**
 * Let pointer and arrow keys select positions of a map.
 * @param {HTMLElement} map
 * @param {MapEvents} events
 * @returns {void}
 */
export function connectMap(map, { getPosition, getShape, onPoint, onLeave, onClick, onKey }) {
  /** @type {(event: MouseEvent) => Position} */
  const findPosition = ({ clientX, clientY }) => {
    const { left, top, width, height } = map.getBoundingClientRect()
    return positionAt((clientX - left) / width, (clientY - top) / height, getShape())
  }
  map.onpointermove = (event) => {
    const isTouchWithoutContact = event.pointerType !== "mouse" && event.buttons === 0
    if (!isTouchWithoutContact) onPoint(findPosition(event))
  }
  map.onpointerleave = onLeave
  map.onclick = (event) => onClick(findPosition(event))
  map.onkeydown = (event) => {
    const position = moveByKey(event.key, getPosition(), getShape())
    if (position === null) return
    event.preventDefault()
    onKey(position)
  }
}
