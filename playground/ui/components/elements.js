// What all own components use; put before each one's code (elements.py).
function element(tag, className, parent, text) {
  const node = document.createElement(tag)
  if (className) node.className = className
  if (text !== undefined) node.textContent = text
  parent?.append(node)
  return node
}

// Numbers travel as base64: shorter than JSON, and no rounding.
function bytes(text) {
  const raw = atob(text)
  const found = new Uint8Array(raw.length)
  for (let place = 0; place < raw.length; place++) found[place] = raw.charCodeAt(place)
  return found
}
const floats = (text) => (text ? new Float32Array(bytes(text).buffer) : null)

