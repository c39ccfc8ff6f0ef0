/** @import { ComponentArgs } from "./lib/streamlit.js" */

/** Keys that act on a focused control or on the text in it; Escape and combinations stay with Streamlit. */
const NAMED_KEYS = ["Delete", "Backspace", "Enter"]

/** The scrolling area of the page: it can have the focus without being a control. */
const PAGE_AREA = '[data-testid="stMain"]'

let isInstalled = false

/**
 * Whether a page-wide shortcut must not see a key: it belongs to the control that has the focus.
 * @param {Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey">} event
 * @param {boolean} isPageFocused no control has the focus
 * @returns {boolean}
 */
export function isKeyOfControl(event, isPageFocused) {
  if (isPageFocused || event.ctrlKey || event.metaKey || event.altKey) return false
  return event.key.length === 1 || NAMED_KEYS.includes(event.key)
}

/**
 * Whether an element with the focus is the page itself or its scrolling area.
 * @param {EventTarget | undefined} focused
 * @returns {boolean}
 */
function isPage(focused) {
  if (!(focused instanceof Element)) return true
  return focused === document.body || focused === document.documentElement || focused.matches(PAGE_AREA)
}

/**
 * Keep the keys of a focused control from page-wide shortcuts (WCAG 2.1.4): Space then presses the focused button. The
 * shortcuts of Streamlit's buttons listen on the document, above the root element; React's handlers are below it.
 * @param {ComponentArgs<null>} _args
 * @returns {void}
 */
export default function guardKeyboard(_args) {
  if (isInstalled) return
  isInstalled = true
  document.documentElement.addEventListener("keydown", (event) => {
    if (isKeyOfControl(event, isPage(event.composedPath()[0]))) event.stopPropagation()
  })
  document.documentElement.dataset.keyboardGuard = "on"
}
