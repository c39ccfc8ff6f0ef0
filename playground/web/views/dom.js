/**
 * Create an element, append it to `parent` and return it.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {ParentNode} parent
 * @param {Tag} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function addElement(parent, tag, className = "", text = "") {
  const node = document.createElement(tag)
  if (className) node.className = className
  if (text) node.textContent = text
  parent.append(node)
  return node
}

/**
 * Append a `<button type="button">` to `parent` and return it.
 * @param {ParentNode} parent
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLButtonElement}
 */
export function addButton(parent, className = "", text = "") {
  const button = addElement(parent, "button", className, text)
  button.type = "button"
  return button
}

/**
 * Join the class names that apply.
 * @param {...(string | false | null | undefined)} names
 * @returns {string}
 */
export function joinClasses(...names) {
  return names.filter(Boolean).join(" ")
}
