/**
 * Find an element of the page.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function findElement(id) {
  const node = document.querySelector(`#${id}`)
  if (!(node instanceof HTMLElement)) throw new Error("This file is incomplete. Download it again.")
  return node
}
