import assert from "node:assert/strict"
import { after, beforeEach, describe, test } from "node:test"
import { LiveDrawing } from "../../playground/ui/components/lib/live_drawing.js"
import { getLiveStore } from "../../playground/ui/components/lib/live_store.js"
import { describeLimits } from "../../playground/ui/components/lib/live_view.js"

/** @import { LiveDrawingData } from "../../playground/ui/components/lib/live_drawing.js" */
/** @import { LiveNetwork, LiveProblem } from "../../playground/ui/components/lib/live_store.js" */

class FakeElement {
  /** @param {string[]} classes */
  constructor(...classes) {
    this.classList = { contains: (/** @type {string} */ name) => classes.includes(name) }
  }
}

class FakeCanvas extends FakeElement {
  width = 240
  height = 240

  getBoundingClientRect() {
    return { left: 0, top: 0, width: this.width, height: this.height }
  }
}

class FakeMouseEvent extends Event {
  button = 0
}

const page = Object.assign(new EventTarget(), { querySelector: () => null, querySelectorAll: () => [] })
Object.assign(globalThis, {
  document: page,
  Element: FakeElement,
  HTMLCanvasElement: FakeCanvas,
  MouseEvent: FakeMouseEvent,
})

const canvas = new FakeCanvas("upper-canvas")
const canvasPath = [canvas, new FakeElement("st-key-canvas")]
const RUN_ID = "20260101-000000-test"
const MAX_OBJECTS = 200
const EXAMPLE = new Float32Array(784).fill(0.5)

/** @type {Float32Array[]} */
const computed = []
/** @type {LiveProblem[]} */
const problems = []
/** @type {{ notice: HTMLElement, network: LiveNetwork, drawing: LiveDrawing | null }} */
const parts = { notice: createNotice(), network: createNetwork(), drawing: null }

/**
 * Create an element for the notice.
 * @returns {HTMLElement}
 */
function createNotice() {
  return /** @type {HTMLElement} */ (/** @type {unknown} */ ({ textContent: "", hidden: false }))
}

/**
 * Create a network that keeps the images that it shall compute.
 * @returns {LiveNetwork}
 */
function createNetwork() {
  const description = { hasWebAssembly: true, layers: [], inputShape: [1, 28, 28], classes: 2 }
  const client = {
    mode: "worker",
    description,
    run: (/** @type {Float32Array} */ image) => computed.push(image.slice()),
  }
  return /** @type {LiveNetwork} */ (/** @type {unknown} */ ({ client, step: 10, failure: "" }))
}

/**
 * Make what the server sends.
 * @param {Partial<LiveDrawingData["canvas"]>} [changes]
 * @param {Partial<LiveDrawingData>} [others]
 * @returns {LiveDrawingData}
 */
function makeData(changes = {}, others = {}) {
  return {
    canvas: {
      name: "canvas-1",
      size: 240,
      penWidth: 17,
      objectCount: 0,
      maxObjects: MAX_OBJECTS,
      strokes: [],
      canFollow: true,
      ...changes,
    },
    preprocessing: { fitBox: true, normalizeStrokeWidth: true, centerByMass: true },
    overlay: null,
    inputShape: [1, 28, 28],
    classNames: ["no", "yes"],
    layerIds: [],
    answers: [{ runId: RUN_ID, runName: "Run 1", step: 10, probabilities: [0.25, 0.75] }],
    isDrawn: false,
    modelInput: EXAMPLE,
    remark: { doubts: [], source: "", exampleHint: "Draw your own above." },
    colors: { sequential: new Uint8Array(768), diverging: new Uint8Array(768), gap: [0, 0, 0] },
    layout: { maxMaps: 32, size: 148, gap: 2 },
    ...others,
  }
}

/**
 * Send an event of the mouse or a finger, as the browser does.
 * @param {string} name
 * @param {number} x
 * @param {number} y
 * @param {object} [others]
 * @returns {void}
 */
function send(name, x, y, others = {}) {
  const event = name.startsWith("mouse") ? new FakeMouseEvent(name) : new Event(name)
  page.dispatchEvent(Object.assign(event, { clientX: x, clientY: y, composedPath: () => canvasPath, ...others }))
}

/**
 * Send what the server knows.
 * @param {LiveDrawingData} data
 * @returns {void}
 */
function update(data) {
  parts.drawing?.update(data, (problem) => problems.push(problem))
}

/**
 * Announce a result of the network.
 * @param {Float32Array} image
 * @param {number[]} probabilities
 * @returns {void}
 */
function announceResult(image, probabilities) {
  getLiveStore().announce("result", { runId: RUN_ID, result: { image, probabilities, values: new Float32Array(0) } })
}

beforeEach(() => {
  parts.drawing?.dispose()
  computed.length = 0
  problems.length = 0
  const store = getLiveStore()
  parts.network = createNetwork()
  store.networks = new Map([[RUN_ID, parts.network]])
  parts.notice = createNotice()
  parts.drawing = new LiveDrawing(parts.notice)
  update(makeData())
  computed.length = 0 // the example, which is compared
})

after(() => parts.drawing?.dispose())

describe("live drawing", () => {
  test("every move of the pen is computed, until it is lifted", () => {
    send("mousemove", 20, 20)
    assert.equal(computed.length, 0)
    send("mousedown", 60, 60)
    send("mousemove", 120, 60)
    send("mousemove", 180, 160)
    assert.equal(computed.length, 3)
    assert.notDeepEqual(computed[1], computed[2])
    send("mouseup", 180, 160)
    send("mousemove", 20, 20)
    assert.deepEqual(computed.at(-1), computed[2])
    assert.equal(computed.length, 4)
  })

  test("new weights answer the drawing while the pen rests", () => {
    send("mousedown", 60, 60)
    send("mousemove", 120, 160)
    getLiveStore().announce("load")
    assert.equal(computed.length, 3)
    assert.deepEqual(computed[2], computed[1])
  })

  test("an answer of the server to older strokes is replaced while the pen is down", () => {
    send("mousedown", 60, 60)
    send("mousemove", 120, 160)
    update(makeData())
    assert.equal(computed.length, 3)
    assert.deepEqual(computed[2], computed[1])
  })

  test("a stroke stays until the server knows it", () => {
    send("mousedown", 60, 60)
    send("mousemove", 120, 160)
    send("mouseup", 120, 160)
    update(makeData())
    assert.equal(getLiveStore().isDrawing, true)
    update(makeData({ objectCount: 1, strokes: [[[60, 60]]] }))
    assert.equal(getLiveStore().isDrawing, false)
  })
})

describe("canvas", () => {
  test("strokes that the server does not read are not followed", () => {
    update(makeData({ objectCount: MAX_OBJECTS }))
    computed.length = 0
    send("mousedown", 60, 60)
    send("mousemove", 120, 160)
    assert.equal(computed.length, 0)
    update(makeData({ objectCount: MAX_OBJECTS - 1 }))
  })

  test("the last finger that is lifted ends a stroke", () => {
    const first = { changedTouches: [{ clientX: 60, clientY: 60 }], touches: [{}] }
    send("touchstart", 0, 0, first)
    send("touchend", 0, 0, { changedTouches: [{ clientX: 9, clientY: 9 }], touches: [{}] })
    send("touchmove", 0, 0, { changedTouches: [{ clientX: 120, clientY: 160 }], touches: [{}] })
    const count = computed.length
    assert.equal(count, 2)
    send("touchend", 0, 0, { changedTouches: [{ clientX: 120, clientY: 160 }], touches: [] })
    send("touchmove", 0, 0, { changedTouches: [{ clientX: 9, clientY: 9 }], touches: [{}] })
    assert.equal(computed.length, count + 1)
  })

  test("a canvas of another size on the screen has the same strokes", () => {
    send("mousedown", 60, 60)
    send("mousemove", 120, 160)
    send("mouseup", 120, 160)
    const expected = computed.at(-1)
    update(makeData({ name: "canvas-2" }))
    canvas.getBoundingClientRect = () => ({ left: 30, top: 7, width: 480, height: 120 })
    send("mousedown", 30 + 2 * 60, 7 + 30)
    send("mousemove", 30 + 2 * 120, 7 + 80)
    delete (/** @type {Partial<FakeCanvas>} */ (canvas).getBoundingClientRect)
    assert.deepEqual(computed.at(-1), expected)
  })

  test("strokes on an image of a color dataset are not preprocessed", () => {
    const overlay = { image: new Float32Array(3 * 64).fill(0.5), shape: [3, 8, 8], eraserStrokes: [], eraserWidth: 30 }
    update(makeData({}, { overlay, inputShape: [3, 8, 8] }))
    send("mousedown", 15, 15)
    const [input] = computed
    assert.equal(input.length, 3 * 64)
    for (const channel of [0, 1, 2]) {
      assert.ok(input[64 * channel] > 0.7)
      assert.equal(input[64 * channel + 63], 0.5)
    }
  })
})

describe("comparison with the server", () => {
  /** Send the server's answer to a dot on the canvas. */
  function answer() {
    update(makeData({ objectCount: 1, strokes: [[[60, 60]]] }, { isDrawn: true }))
  }

  test("an equal answer is no problem, another one is, once for each drawing", () => {
    answer()
    answer()
    assert.equal(computed.length, 1)
    announceResult(computed[0], [0.2501, 0.7499])
    assert.deepEqual(problems, [])
    announceResult(computed[0], [0.35, 0.65])
    const message = "The browser's answer differs from the server's by 0.10 at step 10."
    assert.deepEqual(problems, [{ runId: RUN_ID, message }])
  })

  test("probabilities that are no numbers are a problem", () => {
    answer()
    announceResult(computed[0], [Number.NaN, Number.NaN])
    assert.equal(problems.length, 1)
  })

  test("the result of an older image is not compared", () => {
    answer()
    announceResult(new Float32Array(784), [1, 0])
    assert.deepEqual(problems, [])
  })

  test("weights that arrive after the answer are compared when they are loaded", () => {
    parts.network.step = 0
    answer()
    assert.equal(computed.length, 0)
    parts.network.step = 10
    getLiveStore().announce("load")
    assert.equal(computed.length, 1)
  })
})

describe("newer weights than those of the server's answer", () => {
  test("an example is answered by them, and nothing is compared", () => {
    parts.network.step = 20
    getLiveStore().announce("load")
    assert.deepEqual(computed, [EXAMPLE])
    announceResult(EXAMPLE, [1, 0])
    assert.deepEqual(problems, [])
  })

  test("their answer stays until the server has answered by them", () => {
    let ends = 0
    getLiveStore().addEventListener("end", () => ends++)
    parts.network.step = 20
    update(makeData())
    assert.equal(ends, 0)
    assert.deepEqual(computed, [EXAMPLE])
    update(makeData({}, { answers: [{ runId: RUN_ID, runName: "Run 1", step: 20, probabilities: [0, 1] }] }))
    assert.equal(ends, 1)
    announceResult(EXAMPLE, [0, 1])
    assert.deepEqual(problems, [])
  })
})

describe("what a browser lacks", () => {
  test("a browser that has everything is told nothing", () => {
    assert.equal(describeLimits(parts.network), "")
    assert.equal(describeLimits(undefined), "")
    assert.equal(parts.notice.hidden, true)
  })

  test("a failure is told and reported", () => {
    parts.network.step = null
    parts.network.failure = "The network file is damaged."
    getLiveStore().announce("failure", { runId: RUN_ID, message: "The browser engine failed." })
    assert.equal(problems.length, 1)
    assert.ok(parts.notice.textContent.includes("follows when the pen is lifted"))
    assert.ok(parts.notice.textContent.includes("The network file is damaged."))
    send("mousedown", 60, 60)
    assert.equal(computed.length, 0)
  })

  test("a missing worker and a missing WebAssembly are told", () => {
    parts.network.client.mode = "page"
    Object.assign(/** @type {object} */ (parts.network.client.description), { hasWebAssembly: false })
    getLiveStore().announce("load")
    assert.ok(parts.notice.textContent.includes("no worker can run beside the page, and WebAssembly"))
    assert.equal(parts.notice.hidden, false)
  })
})
