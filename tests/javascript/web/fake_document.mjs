/** A document for tests of views in Node: elements with the properties that the views use. */

class FakeImage {
  /**
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.width = width
    this.height = height
    this.data = new Uint8ClampedArray(4 * width * height)
  }
}

/** An element; a canvas keeps the pixels that were put into it. */
export class FakeElement {
  style = makeStyle()
  /** @type {Record<string, string>} */
  dataset = {}
  /** @type {FakeElement[]} */
  children = []
  hidden = false
  isConnected = true
  className = ""
  clientWidth = 600
  offsetWidth = 50
  /** @type {number[] | null} bytes of the pixels */
  painted = null
  title = ""
  /** @type {FakeElement | null} */
  parent = null
  area = { left: 0, top: 0, width: 100, height: 100 }
  #text = ""
  classList = {
    add: (/** @type {string} */ name) => {
      this.className = `${this.className} ${name}`.trim()
    },
  }

  /** @param {string} tag */
  constructor(tag) {
    this.tag = tag
  }

  /** @returns {string} */
  get textContent() {
    return this.#text + this.children.map((child) => child.textContent).join(" ")
  }

  set textContent(text) {
    this.children = []
    this.#text = text
  }

  /** @returns {FakeElement | null} */
  get firstElementChild() {
    return this.children[0] ?? null
  }

  /** @returns {FakeElement | null} */
  get lastElementChild() {
    return this.children.at(-1) ?? null
  }

  /** @param {FakeElement} child */
  append(child) {
    child.parent = this
    this.children.push(child)
  }

  remove() {
    const siblings = this.parent?.children ?? []
    siblings.splice(siblings.indexOf(this), 1)
  }

  replaceChildren() {
    this.children = []
  }

  /**
   * Find the descendants of a tag or, with a dot, of a class.
   * @param {string} selector
   * @returns {FakeElement[]}
   */
  querySelectorAll(selector) {
    return this.children.flatMap((child) => {
      const isFound = selector.startsWith(".")
        ? child.className.split(" ").includes(selector.slice(1))
        : child.tag === selector
      return [...(isFound ? [child] : []), ...child.querySelectorAll(selector)]
    })
  }

  getBoundingClientRect() {
    return this.area
  }

  getContext() {
    return {
      putImageData: (/** @type {FakeImage} */ image) => {
        this.painted = [...image.data]
      },
    }
  }

  /**
   * Call the handler of an event.
   * @param {string} name
   * @param {Record<string, unknown>} [event]
   * @returns {void}
   */
  fire(name, event = {}) {
    const handler = /** @type {(event: unknown) => void} */ (Reflect.get(this, `on${name}`))
    handler.call(this, { preventDefault: () => undefined, ...event })
  }
}

/**
 * Make a style with properties of any name.
 * @returns {Record<string, string> & { setProperty: (name: string, value: string) => void }}
 */
function makeStyle() {
  /** @type {any} */
  const style = {
    setProperty: (/** @type {string} */ name, /** @type {string} */ value) => Object.assign(style, { [name]: value }),
  }
  return style
}

/**
 * Install the document, and return an element to put a view into.
 * @returns {FakeElement & HTMLElement}
 */
export function installDocument() {
  const createElement = (/** @type {string} */ tag) => new FakeElement(tag)
  Object.assign(globalThis, { document: { createElement }, ImageData: FakeImage })
  return /** @type {FakeElement & HTMLElement} */ (/** @type {unknown} */ (new FakeElement("div")))
}
