import { addButton, addElement, joinClasses } from "../../web/views/dom.js"

/** @import { ComponentArgs } from "./lib/streamlit.js" */

/** @typedef {{ width: number, height: number, color: string }} PictureBlock CSS pixels */

/**
 * @typedef {object} PresetCard
 * @property {string} name sent back by a click
 * @property {string} group
 * @property {string} title
 * @property {string} description
 * @property {string[]} facts
 * @property {PictureBlock[]} blocks
 */

/** @typedef {{ selected: string | null, cards: PresetCard[] }} PresetGalleryData What preset_gallery.py sends. */

const MIN_CARDS_FOR_SEARCH = 10

/**
 * Test if all words of a search occur in a card.
 * @param {PresetCard} card
 * @param {string} search
 * @returns {boolean}
 */
export function matchesSearch(card, search) {
  const text = [card.title, card.group, card.description, ...card.facts].join(" ").toLowerCase()
  return search
    .toLowerCase()
    .split(" ")
    .every((word) => text.includes(word))
}

/**
 * Append the small picture of a network: one block a layer, as high as its maps and as wide as their number.
 * @param {ParentNode} parent
 * @param {PictureBlock[]} blocks
 * @returns {void}
 */
function addPicture(parent, blocks) {
  const picture = addElement(parent, "span", "picture")
  picture.ariaHidden = "true"
  for (const { width, height, color } of blocks) {
    const block = addElement(picture, "i", color)
    block.style.width = `${width}px`
    block.style.height = `${height}px`
  }
}

/**
 * Append the card of a preset.
 * @param {ParentNode} parent
 * @param {PresetCard} card
 * @param {boolean} isSelected
 * @returns {HTMLButtonElement}
 */
function addCard(parent, card, isSelected) {
  const button = addButton(parent, joinClasses("card", isSelected && "selected"))
  button.ariaPressed = String(isSelected)
  if (card.blocks.length > 0) addPicture(button, card.blocks)
  addElement(button, "strong", "", card.title)
  addElement(button, "span", "description", card.description)
  addElement(button, "span", "facts", card.facts.join(" · "))
  return button
}

/**
 * Move the focus between the visible cards with the arrow keys, Home and End.
 * @param {KeyboardEvent} event
 * @param {HTMLButtonElement[]} cards
 * @returns {void}
 */
function moveFocus(event, cards) {
  const visible = cards.filter((card) => !card.hidden)
  const position = visible.indexOf(/** @type {HTMLButtonElement} */ (event.target))
  const target = {
    ArrowRight: position + 1,
    ArrowDown: position + 1,
    ArrowLeft: position - 1,
    ArrowUp: position - 1,
    Home: 0,
    End: visible.length - 1,
  }[event.key]
  if (position < 0 || target === undefined) return
  event.preventDefault()
  visible[target]?.focus()
}

/**
 * Show the cards by group, and those only that match the search; a click sends the name of its card.
 * @param {ComponentArgs<PresetGalleryData>} args
 * @returns {void}
 */
export default function renderPresetGallery({ data, parentElement, setTriggerValue }) {
  const search = /** @type {HTMLInputElement | null} */ (parentElement.querySelector("input"))?.value ?? ""
  parentElement.querySelector(".presets")?.remove()
  const root = addElement(parentElement, "div", "presets")
  const input = addElement(root, "input")
  input.type = "search"
  input.placeholder = "Search, e.g. batch norm"
  input.ariaLabel = "Search presets"
  input.value = search
  input.hidden = data.cards.length < MIN_CARDS_FOR_SEARCH
  const noMatch = addElement(root, "p", "no-match")
  noMatch.role = "status"
  /** @type {{ section: HTMLElement, cards: { button: HTMLButtonElement, card: PresetCard }[] }[]} */
  const groups = []
  for (const title of new Set(data.cards.map((card) => card.group))) {
    const section = addElement(root, "section")
    addElement(section, "h3", "", title)
    const grid = addElement(section, "div", "grid")
    const cards = data.cards
      .filter((card) => card.group === title)
      .map((card) => ({ card, button: addCard(grid, card, card.name === data.selected) }))
    for (const { button, card } of cards) button.onclick = () => setTriggerValue("selected", card.name)
    groups.push({ section, cards })
  }
  const buttons = groups.flatMap(({ cards }) => cards.map(({ button }) => button))
  root.addEventListener("keydown", (event) => moveFocus(event, buttons))
  const showMatches = () => {
    for (const { section, cards } of groups) {
      for (const { button, card } of cards) button.hidden = !matchesSearch(card, input.value)
      section.hidden = cards.every(({ button }) => button.hidden)
    }
    noMatch.textContent = groups.every(({ section }) => section.hidden) ? "No preset has all these words." : ""
  }
  input.addEventListener("input", showMatches)
  showMatches()
}
