import assert from "node:assert/strict"
import { describe, mock, test } from "node:test"
import { layOutCells } from "../../../playground/web/views/arithmetic_panels.js"
import { ArithmeticView } from "../../../playground/web/views/arithmetic_view.js"
import { installDocument } from "./fake_document.mjs"

/** @import { Position } from "../../../playground/web/views/arithmetic.js" */
/** @import { ShownChannel } from "../../../playground/web/views/arithmetic_view.js" */
/** @import { FakeElement } from "./fake_document.mjs" */

const TABLES = { ink: new Uint8Array(768), sequential: new Uint8Array(768), diverging: new Uint8Array(768) }
const ORIGIN = { row: 0, column: 0 }

/** A 2×2 convolution of two 3×3 channels: all weights of the first are 1, all of the second 2. */
const EXPLANATION = /** @type {const} */ ({
  rule: "sum",
  kernelSize: /** @type {[number, number]} */ ([2, 2]),
  stride: 1,
  padding: /** @type {[number, number]} */ ([0, 0]),
  dilation: 1,
  inputShape: /** @type {[number, number, number]} */ ([2, 3, 3]),
  firstInputChannel: 4,
  input: Float32Array.from({ length: 18 }, (_, index) => index % 9),
  weights: Float32Array.of(1, 1, 1, 1, 2, 2, 2, 2),
  bias: 0.5,
  statistics: {},
})

/**
 * Make a channel of 2×2 values.
 * @param {Partial<ShownChannel>} [changes]
 * @returns {ShownChannel}
 */
function makeChannel(changes = {}) {
  const output = Float32Array.of(24.5, 36.5, 60.5, 72.5)
  return {
    layer: "2",
    title: "Conv, channel 1",
    explanation: EXPLANATION,
    activation: "ReLU",
    source: { title: "Pool", imageChannels: null },
    shape: [2, 2],
    output,
    displayed: output,
    scale: { palette: "sequential", low: 0, high: 80 },
    receptiveField: null,
    ...changes,
  }
}

/**
 * Read the numbers of the equation.
 * @param {FakeElement} root
 * @returns {Record<string, number>}
 */
function readEquation(root) {
  const [equation] = root.querySelectorAll(".sum")
  return Object.fromEntries(equation.querySelectorAll("b").map((node) => [node.className, Number(node.dataset.value)]))
}

/**
 * Make a view that records its events.
 * @returns {{ root: FakeElement, view: ArithmeticView, map: FakeElement, moved: Position[], pinned: Position[] }}
 */
function makeView() {
  const root = installDocument()
  /** @type {Position[]} */
  const moved = []
  /** @type {Position[]} */
  const pinned = []
  const view = new ArithmeticView(root, {
    onMove: (position) => moved.push(position),
    onPin: (position) => pinned.push(position),
  })
  const [map] = root.querySelectorAll(".live")
  return { root, view, map, moved, pinned }
}

/**
 * Find a button by its text.
 * @param {FakeElement} root
 * @param {string} text
 * @returns {FakeElement}
 */
function findButton(root, text) {
  return /** @type {FakeElement} */ (root.querySelectorAll("button").find((node) => node.textContent === text))
}

describe("position", () => {
  test("shows the sum over both channels, the bias and the result", () => {
    const { root, view, moved } = makeView()
    view.show(makeChannel(), TABLES, ORIGIN)
    assert.deepEqual(readEquation(root), { added: 24, bias: 0.5, total: 24.5, result: 24.5 })
    assert.deepEqual(moved, [])
  })

  test("follows the pointer, and returns to the clicked position when it leaves", () => {
    const { root, view, map, moved, pinned } = makeView()
    view.show(makeChannel(), TABLES, ORIGIN)
    map.fire("click", { clientX: 75, clientY: 25 })
    assert.deepEqual(pinned, [{ row: 0, column: 1 }])
    map.fire("pointermove", { clientX: 75, clientY: 75, pointerType: "mouse" })
    assert.equal(readEquation(root).total, 72.5)
    map.fire("pointerleave")
    assert.equal(readEquation(root).total, 36.5)
    assert.deepEqual(moved, [
      { row: 0, column: 1 },
      { row: 1, column: 1 },
      { row: 0, column: 1 },
    ])
    assert.equal(pinned.length, 1)
  })

  test("ignores a touch that only hovers", () => {
    const { view, map } = makeView()
    view.show(makeChannel(), TABLES, ORIGIN)
    map.fire("pointermove", { clientX: 75, clientY: 75, pointerType: "touch", buttons: 0 })
    assert.deepEqual(view.position, ORIGIN)
    map.fire("pointermove", { clientX: 75, clientY: 75, pointerType: "touch", buttons: 1 })
    assert.deepEqual(view.position, { row: 1, column: 1 })
  })

  test("arrow keys select a position that stays; other keys are left to the page", () => {
    const { view, map } = makeView()
    view.show(makeChannel(), TABLES, ORIGIN)
    const prevented = mock.fn()
    map.fire("keydown", { key: "ArrowDown", preventDefault: prevented })
    map.fire("pointerleave")
    assert.deepEqual(view.position, { row: 1, column: 0 })
    map.fire("keydown", { key: "Tab", preventDefault: prevented })
    assert.equal(prevented.mock.callCount(), 1)
  })
})

describe("playing", () => {
  test("plays through the positions, ignores the pointer meanwhile, and stops at a click", () => {
    const { root, view, map } = makeView()
    mock.timers.enable({ apis: ["setInterval"] })
    view.show(makeChannel(), TABLES, ORIGIN)
    findButton(root, "Play").fire("click")
    mock.timers.tick(3 * 200)
    assert.deepEqual(view.position, { row: 1, column: 1 })
    map.fire("pointermove", { clientX: 1, clientY: 1, pointerType: "mouse" })
    assert.deepEqual(view.position, { row: 1, column: 1 })
    findButton(root, "normal").fire("click") // fast: 25 positions a second
    mock.timers.tick(2 * 40)
    assert.deepEqual(view.position, { row: 0, column: 1 })
    map.fire("click", { clientX: 25, clientY: 25 })
    assert.equal(view.isPlaying, false)
    mock.timers.tick(1000)
    assert.deepEqual(view.position, ORIGIN)
    mock.timers.reset()
  })

  test("the timer ends when the view leaves the document", () => {
    const { root, view } = makeView()
    mock.timers.enable({ apis: ["setInterval"] })
    view.show(makeChannel(), TABLES, ORIGIN)
    findButton(root, "Play").fire("click")
    root.querySelectorAll(".tools")[0].isConnected = false
    mock.timers.tick(200)
    assert.equal(view.isPlaying, false)
    mock.timers.reset()
  })
})

describe("channels", () => {
  test("buttons and bars select the input channel, and keep their nodes", () => {
    const { root, view } = makeView()
    view.show(makeChannel(), TABLES, ORIGIN)
    const next = findButton(root, "›")
    const kernel = () => root.querySelectorAll(".cells")[1].children.map((cell) => cell.title)
    assert.deepEqual(kernel(), ["1", "1", "1", "1"])
    next.fire("click")
    assert.deepEqual(kernel(), ["2", "2", "2", "2"])
    assert.match(root.textContent, /Pool, channel 6/u)
    assert.equal(findButton(root, "›"), next)
    next.fire("click")
    assert.deepEqual(kernel(), ["1", "1", "1", "1"])
    root.querySelectorAll(".bars")[0].querySelectorAll("button")[1].fire("click")
    assert.deepEqual(kernel(), ["2", "2", "2", "2"])
  })

  test("another channel of the layer keeps the input channel, another layer begins with the first", () => {
    const { root, view } = makeView()
    view.show(makeChannel(), TABLES, ORIGIN)
    findButton(root, "›").fire("click")
    view.show(makeChannel({ title: "Conv, channel 2" }), TABLES)
    assert.match(root.textContent, /Pool, channel 6/u)
    view.show(makeChannel({ layer: "3" }), TABLES)
    assert.match(root.textContent, /Pool, channel 5/u)
  })

  test("new values of the same channel are painted, in the colors of their range", () => {
    const { root, view } = makeView()
    const ramp = Uint8Array.from({ length: 768 }, (_, index) => Math.floor(index / 3))
    const tables = { ...TABLES, sequential: ramp }
    view.show(makeChannel(), tables, ORIGIN)
    const [, canvas] = root.querySelectorAll("canvas")
    const levels = () => canvas.painted?.filter((_, index) => index % 4 === 0)
    assert.deepEqual(levels(), [0, 32, 64, 96, 128, 159, 191, 223, 255]) // 0 to 8
    const explanation = { ...EXPLANATION, input: Float32Array.from(EXPLANATION.input, (value) => 8 - value) }
    view.show(makeChannel({ explanation }), tables)
    assert.deepEqual(levels(), [255, 223, 191, 159, 128, 96, 64, 32, 0])
  })

  test("a position outside of a smaller map moves to its edge", () => {
    const { root, view } = makeView()
    view.show(makeChannel(), TABLES, { row: 1, column: 1 })
    const output = Float32Array.of(24.5)
    view.show(makeChannel({ shape: [1, 1], output, displayed: output }), TABLES)
    assert.deepEqual(view.position, ORIGIN)
    assert.equal(findButton(root, "Play").hidden, true)
  })
})

describe("receptive field", () => {
  test("is outlined in the image, which is hidden where the layer reads the image", () => {
    const { root, view } = makeView()
    /** @type {NonNullable<ShownChannel["receptiveField"]>} */
    const receptiveField = {
      image: new Float32Array(16),
      imageShape: [4, 4],
      rows: [
        [0, 2],
        [1, 4],
      ],
      columns: [
        [0, 2],
        [1, 4],
      ],
    }
    const [image] = root.querySelectorAll(".stage")
    view.show(makeChannel({ receptiveField }), TABLES, { row: 1, column: 0 })
    assert.equal(image.hidden, false)
    const [box] = image.querySelectorAll(".box")
    assert.deepEqual([box.style.top, box.style.left], ["25%", "0%"])
    view.show(makeChannel({ receptiveField, source: { title: "input", imageChannels: 2 } }), TABLES)
    assert.equal(image.hidden, true)
  })
})

describe("cells", () => {
  test("fill the square between 3 and 38 pixels", () => {
    assert.deepEqual(layOutCells(9, 3, 150), { columns: 3, cell: 38 })
    assert.deepEqual(layOutCells(25, 5, 100), { columns: 5, cell: 19 })
    assert.deepEqual(layOutCells(10_000, 100, 150), { columns: 100, cell: 3 })
  })

  test("in a long row are wrapped to a square, in a short one not", () => {
    assert.deepEqual(layOutCells(64, 64, 150), { columns: 8, cell: 17 })
    assert.deepEqual(layOutCells(8, 8, 150), { columns: 8, cell: 17 })
  })
})
